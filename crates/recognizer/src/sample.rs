//! A model that is as small as one can be, of the form that large ones have: for tests.

use prost::Message as _;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, attribute_proto, tensor_proto, tensor_shape_proto, type_proto,
};

/// The words that the model knows, each with the label that it gives it.
const WORDS: [(&str, usize); 13] = [
    ("[UNK]", 0),
    ("[CLS]", 1),
    ("[SEP]", 1),
    ("lotte", 1),
    ("jan", 1),
    ("##sen", 2),
    ("o", 0),
    ("'", 0),
    ("neill", 2),
    ("kerkstraat", 3),
    ("7", 3),
    ("delft", 3),
    ("##s", 0),
];
/// The labels.
const LABELS: [&str; 4] = ["O", "B-PER", "I-PER", "S-Address"];

fn tokenizer() -> String {
    let vocabulary: serde_json::Map<_, _> =
        WORDS.iter().enumerate().map(|(id, (word, _))| ((*word).to_string(), id.into())).collect();
    serde_json::json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [],
        "normalizer": { "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": { "type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1] },
        "decoder": null,
        "model": { "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocabulary },
    })
    .to_string()
}

fn node(op: &str, input: &[&str], output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        op_type: op.into(),
        name: output.into(),
        input: input.iter().map(|name| (*name).to_string()).collect(),
        output: vec![output.into()],
        attribute,
        ..NodeProto::default()
    }
}

fn value(name: &str, kind: tensor_proto::DataType, dimensions: &[&str]) -> ValueInfoProto {
    use tensor_shape_proto::{Dimension, dimension};
    let dim = dimensions.iter().map(|name| Dimension {
        value: Some(match name.parse() {
            Ok(count) => dimension::Value::DimValue(count),
            Err(_) => dimension::Value::DimParam((*name).into()),
        }),
        ..Dimension::default()
    });
    let tensor = type_proto::Tensor { elem_type: kind as i32, shape: Some(TensorShapeProto { dim: dim.collect() }) };
    let kind = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: name.into(), r#type: Some(kind), ..ValueInfoProto::default() }
}

/// Gives each token the scores that stand for it in a table, where it counts.
pub(crate) fn model(third: &str) -> Vec<u8> {
    use tensor_proto::DataType::{Float, Int64};
    let scores =
        WORDS.iter().flat_map(|(_, label)| (0..LABELS.len()).map(move |at| if at == *label { 9.0 } else { 0.0 }));
    let table = TensorProto {
        name: "table".into(),
        dims: vec![WORDS.len() as i64, LABELS.len() as i64],
        data_type: Float as i32,
        float_data: scores.collect(),
        ..TensorProto::default()
    };
    let axes = TensorProto {
        name: "axes".into(),
        dims: vec![1],
        data_type: Int64 as i32,
        int64_data: vec![2],
        ..TensorProto::default()
    };
    let to_float = AttributeProto {
        name: "to".into(),
        r#type: attribute_proto::AttributeType::Int as i32,
        i: i64::from(Float as i32),
        ..AttributeProto::default()
    };
    let graph = GraphProto {
        name: "names".into(),
        node: vec![
            node("Gather", &["table", "input_ids"], "known", vec![]),
            node("Cast", &["attention_mask"], "counts", vec![to_float.clone()]),
            node("Unsqueeze", &["counts", "axes"], "each", vec![]),
            node("Mul", &["known", "each"], "counted", vec![]),
            node("Cast", &[third], "types", vec![to_float]),
            node("Unsqueeze", &["types", "axes"], "type", vec![]),
            node("Add", &["counted", "type"], "logits", vec![]),
        ],
        initializer: vec![table, axes],
        input: ["input_ids", "attention_mask", third].map(|name| value(name, Int64, &["batch", "sequence"])).into(),
        output: vec![value("logits", Float, &["batch", "sequence", "4"])],
        ..GraphProto::default()
    };
    let opset = OperatorSetIdProto { domain: String::new(), version: 13 };
    ModelProto { ir_version: 8, opset_import: vec![opset], graph: Some(graph), ..ModelProto::default() }.encode_to_vec()
}

/// A model with its tokenizer and labels, by the names of their files. It takes Lotte, Jansen and O'Neill for parts of names, and
/// Kerkstraat, 7 and Delft for parts of addresses.
pub fn files() -> [(&'static str, Vec<u8>); 3] {
    let labels: serde_json::Map<_, _> =
        LABELS.iter().enumerate().map(|(id, label)| (id.to_string(), (*label).into())).collect();
    let config = serde_json::json!({ "id2label": labels }).to_string();
    [
        ("model.onnx", model("token_type_ids")),
        ("tokenizer.json", tokenizer().into_bytes()),
        ("config.json", config.into_bytes()),
    ]
}
