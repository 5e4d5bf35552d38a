//! Caffe files, of the current layout and the one before 2015, by their field numbers.

use crate::protobuf::Message;

fn dims(sides: &[u64]) -> Message {
    sides.iter().fold(Message::default(), |m, &d| m.varint(1, d))
}

fn blob(sides: &[u64], scale: f32) -> Message {
    let values: Vec<u8> = (0..sides.iter().product::<u64>())
        .flat_map(|i| (((i * 37 % 23) as f32 / 11.0 - 0.9).abs() * scale).to_le_bytes())
        .collect();
    Message::default().bytes(5, &values).message(7, &dims(sides))
}

struct Layer<'a> {
    name: &'a str,
    kind: &'a str,
    bottom: &'a [&'a str],
    top: &'a str,
    blobs: Vec<Message>,
    /// Field number and parameters.
    given: Option<(u64, Message)>,
}

fn layer<'a>(kind: &'a str, bottom: &'a [&'a str], top: &'a str) -> Layer<'a> {
    Layer { name: top, kind, bottom, top, blobs: vec![], given: None }
}

impl Layer<'_> {
    fn message(&self) -> Message {
        let message = Message::default().bytes(1, self.name.as_bytes()).bytes(2, self.kind.as_bytes());
        let message = self.bottom.iter().fold(message, |m, name| m.bytes(3, name.as_bytes()));
        let message = self.blobs.iter().fold(message.bytes(4, self.top.as_bytes()), |m, b| m.message(7, b));
        self.given.iter().fold(message, |m, (number, given)| m.message(*number, given))
    }

    /// The same in the old layout: names of types are numbers, names of fields are others.
    fn old(&self, kind: u64, number: u64) -> Message {
        let message = self.bottom.iter().fold(Message::default(), |m, name| m.bytes(2, name.as_bytes()));
        let message = message.bytes(3, self.top.as_bytes()).bytes(4, self.name.as_bytes()).varint(5, kind);
        let message = self.blobs.iter().fold(message, |m, b| m.message(6, b));
        self.given.iter().fold(message, |m, (_, given)| m.message(number, given))
    }
}

fn convolution<'a>(bottom: &'a [&'a str], top: &'a str) -> Layer<'a> {
    let given = Message::default().varint(1, 4).varint(3, 1).varint(4, 3).varint(5, 1).varint(6, 1);
    Layer {
        blobs: vec![blob(&[4, 3, 3, 3], 0.5), blob(&[4], 0.5)],
        given: Some((106, given)),
        ..layer("Convolution", bottom, top)
    }
}

fn pooling<'a>(bottom: &'a [&'a str], top: &'a str, average: u64) -> Layer<'a> {
    let given = Message::default().varint(1, average).varint(2, 2).varint(3, 2);
    Layer { given: Some((121, given)), ..layer("Pooling", bottom, top) }
}

fn readout<'a>(bottom: &'a [&'a str], top: &'a str, n: u64) -> Layer<'a> {
    let given = Message::default().varint(1, 5);
    Layer {
        blobs: vec![blob(&[5, n], 0.2), blob(&[5], 0.2)],
        given: Some((117, given)),
        ..layer("InnerProduct", bottom, top)
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    vec![current(), old()]
}

fn current() -> Vec<u8> {
    let input = Layer {
        given: Some((143, Message::default().message(1, &dims(&[1, 3, 8, 8])))),
        ..layer("Input", &[], "data")
    };
    let lrn = Message::default().varint(1, 3).float(2, 1e-4).float(3, 0.75);
    let norm = vec![
        blob(&[4], 0.5),
        blob(&[4], 0.5),
        Message::default().bytes(5, &1f32.to_le_bytes()).message(7, &dims(&[1])),
    ];
    let layers = [
        input,
        convolution(&["data"], "conv1"),
        layer("ReLU", &["conv1"], "conv1"),
        Layer { given: Some((118, lrn)), ..layer("LRN", &["conv1"], "norm1") },
        pooling(&["norm1"], "pool1", 0),
        Layer {
            blobs: norm,
            given: Some((139, Message::default().float(3, 1e-5))),
            ..layer("BatchNorm", &["pool1"], "bn")
        },
        Layer { blobs: vec![blob(&[4], 0.5)], ..layer("Scale", &["bn"], "scale") },
        layer("Eltwise", &["scale", "pool1"], "sum"),
        Layer { given: Some((104, Message::default().varint(2, 1))), ..layer("Concat", &["sum", "scale"], "both") },
        pooling(&["both"], "pool2", 1),
        readout(&["pool2"], "fc", 32),
        layer("Softmax", &["fc"], "prob"),
    ];
    let names = ["data", "conv1", "relu1", "norm1", "pool1", "bn", "scale", "sum", "both", "pool2", "fc", "prob"];
    let net = layers.iter().zip(names).fold(Message::default().bytes(1, b"net"), |m, (layer, name)| {
        m.message(100, &Layer { name, blobs: layer.blobs.clone(), given: layer.given.clone(), ..*layer }.message())
    });
    net.0
}

fn old() -> Vec<u8> {
    let net = [1, 3, 8, 8].iter().fold(Message::default().bytes(1, b"net").bytes(3, b"data"), |m, &d| m.varint(4, d));
    net.message(2, &convolution(&["data"], "conv1").old(4, 10))
        .message(2, &Layer { name: "relu1", ..layer("ReLU", &["conv1"], "conv1") }.old(18, 30))
        .message(2, &pooling(&["conv1"], "pool1", 0).old(17, 19))
        .message(2, &readout(&["pool1"], "fc", 64).old(14, 17))
        .message(2, &layer("Softmax", &["fc"], "prob").old(20, 39))
        .0
}
