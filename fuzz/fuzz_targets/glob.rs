#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    greenlight_fuzz::glob(data);
});
