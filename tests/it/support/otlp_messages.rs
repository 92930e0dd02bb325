//! OTLP logs as protobuf messages, written down a second time so that the reader is checked by another encoder.

use prost::Message;
use serde_json::Value;

#[derive(Clone, PartialEq, Message)]
pub struct ExportLogsServiceRequest {
    #[prost(message, repeated, tag = "1")]
    pub resource_logs: Vec<ResourceLogs>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ResourceLogs {
    #[prost(message, optional, tag = "1")]
    pub resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    pub scope_logs: Vec<ScopeLogs>,
    #[prost(string, tag = "3")]
    pub schema_url: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Resource {
    #[prost(message, repeated, tag = "1")]
    pub attributes: Vec<KeyValue>,
    #[prost(uint32, tag = "2")]
    pub dropped_attributes_count: u32,
}

#[derive(Clone, PartialEq, Message)]
pub struct ScopeLogs {
    #[prost(message, repeated, tag = "2")]
    pub log_records: Vec<LogRecord>,
}

#[derive(Clone, PartialEq, Message)]
pub struct LogRecord {
    #[prost(fixed64, tag = "1")]
    pub time_unix_nano: u64,
    #[prost(int32, tag = "2")]
    pub severity_number: i32,
    #[prost(string, tag = "3")]
    pub severity_text: String,
    #[prost(message, optional, tag = "5")]
    pub body: Option<AnyValue>,
    #[prost(message, repeated, tag = "6")]
    pub attributes: Vec<KeyValue>,
    #[prost(fixed32, tag = "8")]
    pub flags: u32,
    #[prost(bytes = "vec", tag = "9")]
    pub trace_id: Vec<u8>,
    #[prost(fixed64, tag = "11")]
    pub observed_time_unix_nano: u64,
    #[prost(string, tag = "12")]
    pub event_name: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct KeyValue {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(message, optional, tag = "2")]
    pub value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub struct AnyValue {
    #[prost(oneof = "AnyValueKind", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub value: Option<AnyValueKind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum AnyValueKind {
    #[prost(string, tag = "1")]
    String(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(int64, tag = "3")]
    Int(i64),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(message, tag = "5")]
    Array(ArrayValue),
    #[prost(message, tag = "6")]
    Map(KeyValueList),
    #[prost(bytes = "vec", tag = "7")]
    Bytes(Vec<u8>),
}

#[derive(Clone, PartialEq, Message)]
pub struct ArrayValue {
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub struct KeyValueList {
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ExportLogsServiceResponse {
    #[prost(message, optional, tag = "1")]
    pub partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
pub struct PartialSuccess {
    #[prost(int64, tag = "1")]
    pub rejected_log_records: i64,
    #[prost(string, tag = "2")]
    pub error_message: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Status {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(string, tag = "2")]
    pub message: String,
}

/// The same request in protobuf; only for what a well-formed JSON request of Codex holds.
pub fn transcode(json: &[u8]) -> Vec<u8> {
    let request: Value = serde_json::from_slice(json).unwrap();
    let resource_logs = list(&request["resourceLogs"], |entry| ResourceLogs {
        resource: Some(Resource { attributes: attributes(&entry["resource"]), dropped_attributes_count: 0 }),
        scope_logs: list(&entry["scopeLogs"], |scope| ScopeLogs { log_records: list(&scope["logRecords"], record) }),
        schema_url: String::new(),
    });
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}

fn list<T>(value: &Value, f: impl Fn(&Value) -> T) -> Vec<T> {
    value.as_array().map(|items| items.iter().map(f).collect()).unwrap_or_default()
}

fn record(value: &Value) -> LogRecord {
    let nanos = |name: &str| value[name].as_str().map(|t| t.parse().unwrap()).unwrap_or_default();
    LogRecord {
        time_unix_nano: nanos("timeUnixNano"),
        observed_time_unix_nano: nanos("observedTimeUnixNano"),
        severity_number: 9,
        severity_text: value["severityText"].as_str().unwrap_or_default().to_string(),
        attributes: attributes(value),
        flags: 1,
        ..LogRecord::default()
    }
}

fn attributes(value: &Value) -> Vec<KeyValue> {
    list(&value["attributes"], |pair| KeyValue {
        key: pair["key"].as_str().unwrap().to_string(),
        value: Some(AnyValue { value: any(&pair["value"]) }),
    })
}

fn any(value: &Value) -> Option<AnyValueKind> {
    let (kind, value) = value.as_object()?.iter().next()?;
    Some(match kind.as_str() {
        "stringValue" => AnyValueKind::String(value.as_str()?.to_string()),
        "boolValue" => AnyValueKind::Bool(value.as_bool()?),
        "intValue" => AnyValueKind::Int(value.as_str()?.parse().ok()?),
        "doubleValue" => AnyValueKind::Double(value.as_f64()?),
        other => panic!("not in a capture: {other}"),
    })
}
