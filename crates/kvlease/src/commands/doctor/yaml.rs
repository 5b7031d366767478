//! LMCache's YAML as JSON, which its variables and the adapter of its server are.

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value as Json};

/// The mapping that a text is; an empty text is an empty one.
pub(super) fn mapping(text: &str) -> Result<Map<String, Json>, String> {
    let documents = Yaml::load_from_str(text).map_err(|error| error.to_string())?;
    match documents.first().map(of_node).unwrap_or_default() {
        Json::Object(mapping) => Ok(mapping),
        Json::Null => Ok(Map::new()),
        other => Err(format!("it is `{other}`")),
    }
}

fn of_node(node: &Yaml<'_>) -> Json {
    match node {
        Yaml::Value(scalar) => of_scalar(scalar),
        Yaml::Sequence(items) => items.iter().map(of_node).collect(),
        Yaml::Mapping(entries) => {
            let name = |key: &Yaml<'_>| match of_node(key) {
                Json::String(name) => name,
                other => other.to_string(),
            };
            entries.iter().map(|(key, value)| (name(key), of_node(value))).collect()
        }
        Yaml::Tagged(_, node) => of_node(node),
        Yaml::Representation(text, ..) => Json::from(text.as_ref()),
        Yaml::Alias(_) | Yaml::BadValue => Json::Null,
    }
}

fn of_scalar(scalar: &Scalar<'_>) -> Json {
    match scalar {
        Scalar::Null => Json::Null,
        Scalar::Boolean(bool) => Json::from(*bool),
        Scalar::Integer(int) => Json::from(*int),
        Scalar::FloatingPoint(float) => Json::from(float.into_inner()),
        Scalar::String(text) => Json::from(text.as_ref()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_mapping_is_read_with_its_types_and_anything_else_is_refused() {
        let text = "# c\na: true\nb: [1, 2.5, x]\nc: &n {d: null}\ne: *n\n";
        let expected = json!({"a": true, "b": [1, 2.5, "x"], "c": {"d": null}, "e": {"d": null}});
        assert_eq!(Json::Object(mapping(text).unwrap()), expected);
        assert_eq!(mapping("").unwrap(), Map::new());
        for text in ["[1]", "text", "a: [", "a: b: c"] {
            assert!(mapping(text).is_err(), "{text}");
        }
    }
}
