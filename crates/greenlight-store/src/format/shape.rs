//! Shapes: what a struct, an enum and a plain word look like in JSON.

/// `record! { Type { field, … } }`: an object of these fields.
macro_rules! record {
    ($type:ty { $($field:ident),+ $(,)? }) => {
        impl $crate::format::Stored for $type {
            fn write(&self, out: &mut $crate::format::Encoder) {
                let Self { $($field),+ } = self;
                out.open();
                $(out.field(stringify!($field), $field);)+
                out.close();
            }

            fn read(node: &serde_json::Value, texts: &$crate::format::Texts) -> Result<Self, $crate::format::FormatError> {
                let mut fields = $crate::format::Fields::of(node)?;
                let value = Self { $($field: fields.take(stringify!($field), texts)?),+ };
                fields.done()?;
                Ok(value)
            }
        }
    };
}

/// `choice! { Type { "word" => Variant { field }, "word" => Variant(name), "word" => Variant } }`: an object that says in `is`
/// which variant it is, beside the variant's fields.
macro_rules! choice {
    ($type:ty { $($word:literal => $variant:ident $(($($item:ident),+))? $({ $($field:ident),+ })?),+ $(,)? }) => {
        impl $crate::format::Stored for $type {
            fn write(&self, out: &mut $crate::format::Encoder) {
                out.open();
                match self {
                    $(Self::$variant $(($($item),+))? $({ $($field),+ })? => {
                        out.tag($word);
                        $($(out.field(stringify!($item), $item);)+)?
                        $($(out.field(stringify!($field), $field);)+)?
                    })+
                }
                out.close();
            }

            fn read(node: &serde_json::Value, texts: &$crate::format::Texts) -> Result<Self, $crate::format::FormatError> {
                let _ = texts;
                let mut fields = $crate::format::Fields::of(node)?;
                let value = match fields.tag()? {
                    $($word => Self::$variant
                        $(($(fields.take(stringify!($item), texts)?),+))?
                        $({ $($field: fields.take(stringify!($field), texts)?),+ })?,)+
                    other => return Err($crate::format::FormatError(format!("{other} is no word for a {}", stringify!($type)))),
                };
                fields.done()?;
                Ok(value)
            }
        }
    };
}

/// `word! { Type { Variant = "word", … } }`: a string.
macro_rules! word {
    ($type:ty { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $crate::format::Stored for $type {
            fn write(&self, out: &mut $crate::format::Encoder) {
                out.string(match self {
                    $(Self::$variant => $word,)+
                });
            }

            fn read(node: &serde_json::Value, _: &$crate::format::Texts) -> Result<Self, $crate::format::FormatError> {
                match node.as_str() {
                    $(Some($word) => Ok(Self::$variant),)+
                    _ => Err($crate::format::expected(concat!("a word for a ", stringify!($type)), node)),
                }
            }
        }
    };
}
