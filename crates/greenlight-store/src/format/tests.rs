//! What is encoded comes back; what cannot be understood is refused by name.

use std::collections::BTreeSet;

use greenlight_core::entity::Entity;

use super::*;

#[path = "../../tests/store/made.rs"]
mod made;

fn round_trip(entity: &Entity) -> Result<Entity, FormatError> {
    let (kind, key) = kind_and_key(&entity.key());
    let encoded = encode(entity);
    decode(kind, &key, FORMAT, &encoded.body, &encoded.texts.into_iter().collect())
}

#[test]
fn every_entity_comes_back_the_same() {
    for entity in made::entities().into_iter().chain(made::metas()) {
        assert_eq!(round_trip(&entity).unwrap(), entity);
    }
}

#[test]
fn a_number_that_is_none_comes_back_as_one() {
    let job = made::job("nan", greenlight_core::run::JobState::Waiting);
    let job = greenlight_core::run::Job { matrix: greenlight_core::effect::Value::from(f64::NAN), ..job };
    let run = made::run(1, 1, vec![job], greenlight_core::run::RunState::Active);
    let Entity::Run(back) = round_trip(&Entity::Run(run.into())).unwrap() else { panic!("it was a run") };
    assert!(back.jobs[0].matrix.as_number().unwrap().is_nan());
}

#[test]
fn keys_are_different_for_different_entities() {
    let entities = made::entities();
    let keys: BTreeSet<_> = entities.iter().map(|entity| kind_and_key(&entity.key())).collect();
    assert_eq!(keys.len(), entities.len());
}

#[test]
fn long_texts_are_referred_to_and_not_repeated() {
    let pull = made::pulls().remove(0);
    let payload = pull.event.payload.clone();
    let encoded = encode(&Entity::Pull(pull.into()));
    assert_eq!(encoded.texts.iter().map(|(_, text)| text.clone()).collect::<Vec<_>>(), [payload]);
    assert!(encoded.body.len() < 2000, "{}", encoded.body.len());
}

#[test]
fn what_is_not_understood_is_refused_by_name() {
    let entity = Entity::Meta(made::meta());
    let encoded = encode(&entity);
    let texts = Texts::new();
    let refusal = |format, kind, body: &[u8]| decode(kind, "", format, body, &texts).unwrap_err().to_string();
    assert!(refusal(FORMAT + 1, "meta", &encoded.body).contains("newer"));
    assert!(refusal(FORMAT, "meta", b"{\"is\":\"meta\"").starts_with("meta "));
    assert!(refusal(FORMAT, "meta", b"{\"is\":\"ghost\"}").contains("ghost"));
    assert!(refusal(FORMAT, "run", &encoded.body).contains("something else"));
    let text = String::from_utf8(encoded.body).unwrap();
    assert!(refusal(FORMAT, "meta", text.replace("\"last_run\":12,", "").as_bytes()).contains("last_run is missing"));
    assert!(
        refusal(FORMAT, "meta", text.replace("\"last_run\":", "\"more\":1,\"last_run\":").as_bytes())
            .contains("fields")
    );
    assert!(
        refusal(FORMAT, "meta", text.replace("\"last_run\":12", "\"last_run\":\"12\"").as_bytes()).contains("a number")
    );
}

#[test]
fn a_text_that_is_not_there_is_refused() {
    let pull = Entity::Pull(made::pulls().remove(0).into());
    let (kind, key) = kind_and_key(&pull.key());
    let refusal = decode(kind, &key, FORMAT, &encode(&pull).body, &Texts::new()).unwrap_err();
    assert!(refusal.to_string().contains("payload: a text that is stored was expected"), "{refusal}");
}

/// A run as the first format had it: without what came later.
#[test]
fn a_run_of_the_first_format_is_read() {
    let job = made::job("test", greenlight_core::run::JobState::Waiting);
    let mut run = made::run(1, 1, vec![job], greenlight_core::run::RunState::Active);
    run.called.clear();
    run.elsewhere.clear();
    let entity = Entity::Run(run.into());
    let encoded = encode(&entity);
    let text = String::from_utf8(encoded.body).unwrap();
    let mut old = text.clone();
    for field in ["\"called\":[],", "\"elsewhere\":[],", "\"caller\":null,", "\"call\":null,", "\"turn\":null,"] {
        assert!(old.contains(field), "{field} is not in {old}");
        old = old.replace(field, "");
    }
    let (kind, key) = kind_and_key(&entity.key());
    let texts: Texts = encoded.texts.into_iter().collect();
    assert_eq!(decode(kind, &key, 1, old.as_bytes(), &texts).unwrap(), entity);
    assert!(decode(kind, &key, FORMAT, old.as_bytes(), &texts).is_err());
}

/// A repository as the fourth format had it: it knew no clock.
#[test]
fn a_repository_of_the_fourth_format_is_read() {
    let mut meta = made::meta();
    meta.timetable = std::sync::Arc::default();
    let entity = Entity::Meta(meta);
    let text = String::from_utf8(encode(&entity).body).unwrap();
    let old = text.replace(",\"timetable\":{\"read_at\":null,\"lines\":[]}", "").replace(",\"last_right\":null", "");
    assert_ne!(old, text);
    let texts = Texts::new();
    assert_eq!(decode("meta", "", 4, old.as_bytes(), &texts).unwrap(), entity);
    assert!(decode("meta", "", FORMAT, old.as_bytes(), &texts).is_err());
}

/// A repository as the sixth format had it: it forgot a right `.greenlight.yml` over a wrong one.
#[test]
fn a_repository_of_the_sixth_format_is_read() {
    let entity = Entity::Meta(made::meta());
    let encoded = encode(&entity);
    let text = String::from_utf8(encoded.body).unwrap();
    let old = text.replace(",\"last_right\":null", "");
    assert_ne!(old, text);
    let texts: Texts = encoded.texts.into_iter().collect();
    assert_eq!(decode("meta", "", 6, old.as_bytes(), &texts).unwrap(), entity);
    assert!(decode("meta", "", FORMAT, old.as_bytes(), &texts).is_err());
}

/// A suite as the second format had it: it did not tell all that is wrong with a `.greenlight.yml`.
#[test]
fn a_suite_of_the_second_format_is_read() {
    let mut read = 0;
    for entity in made::entities().into_iter().filter(|entity| matches!(entity, Entity::Suite(_))) {
        let Entity::Suite(mut suite) = entity else { continue };
        let made = std::sync::Arc::make_mut(&mut suite);
        let greenlight_core::run::SuitePhase::Planned(planned) = &mut made.phase else { continue };
        planned.config_findings = None;
        let entity = Entity::Suite(suite);
        let encoded = encode(&entity);
        let unpacked = if is_packed(&encoded.body) { unpack_whole(&encoded.body).unwrap() } else { encoded.body };
        let text = String::from_utf8(unpacked).unwrap();
        let old = text.replace(",\"config_findings\":null", "");
        assert_ne!(old, text);
        let (kind, key) = kind_and_key(&entity.key());
        let texts: Texts = encoded.texts.into_iter().collect();
        assert_eq!(decode(kind, &key, 2, old.as_bytes(), &texts).unwrap(), entity);
        assert!(decode(kind, &key, FORMAT, old.as_bytes(), &texts).is_err());
        read += 1;
    }
    assert!(read > 0, "there is a planned suite");
}
