//! The part of `caffe.proto` that a deployed or trained network uses. Field numbers are the
//! format's.

use crate::network::import::protobuf::Kind;
use prost::Message;

/// What lies in a network, as far as there may be many.
pub static NET: Kind = Kind { size: size_of::<NetParameter>(), inner: &[(2, &V1_LAYER), (8, &SHAPE), (100, &LAYER)] };
static V1_LAYER: Kind = Kind { size: size_of::<V1LayerParameter>(), inner: &[(6, &BLOB), (32, &RULE)] };
static LAYER: Kind = Kind { size: size_of::<LayerParameter>(), inner: &[(7, &BLOB), (8, &RULE), (143, &INPUT)] };
static BLOB: Kind = Kind { size: size_of::<BlobProto>(), inner: &[] };
static RULE: Kind = Kind { size: size_of::<NetStateRule>(), inner: &[] };
static INPUT: Kind = Kind { size: size_of::<Input>(), inner: &[(1, &SHAPE)] };
static SHAPE: Kind = Kind { size: size_of::<BlobShape>(), inner: &[] };

#[derive(Clone, PartialEq, Message)]
pub struct NetParameter {
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    /// The format before 2015.
    #[prost(message, repeated, tag = "2")]
    pub v1: Vec<V1LayerParameter>,
    #[prost(string, repeated, tag = "3")]
    pub input: Vec<String>,
    #[prost(int32, repeated, tag = "4")]
    pub input_dim: Vec<i32>,
    #[prost(message, repeated, tag = "8")]
    pub input_shape: Vec<BlobShape>,
    #[prost(message, repeated, tag = "100")]
    pub layer: Vec<LayerParameter>,
}

#[derive(Clone, PartialEq, Message)]
pub struct LayerParameter {
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub kind: Option<String>,
    #[prost(string, repeated, tag = "3")]
    pub bottom: Vec<String>,
    #[prost(string, repeated, tag = "4")]
    pub top: Vec<String>,
    #[prost(message, repeated, tag = "7")]
    pub blobs: Vec<BlobProto>,
    #[prost(message, repeated, tag = "8")]
    pub include: Vec<NetStateRule>,
    #[prost(message, optional, tag = "100")]
    pub transform: Option<Transformation>,
    #[prost(message, optional, tag = "104")]
    pub concat: Option<Concat>,
    #[prost(message, optional, tag = "106")]
    pub convolution: Option<Convolution>,
    #[prost(message, optional, tag = "110")]
    pub eltwise: Option<Eltwise>,
    #[prost(message, optional, tag = "117")]
    pub inner_product: Option<InnerProduct>,
    #[prost(message, optional, tag = "118")]
    pub lrn: Option<Lrn>,
    #[prost(message, optional, tag = "121")]
    pub pooling: Option<Pooling>,
    #[prost(message, optional, tag = "122")]
    pub power: Option<Power>,
    #[prost(message, optional, tag = "123")]
    pub relu: Option<Relu>,
    #[prost(message, optional, tag = "125")]
    pub softmax: Option<Softmax>,
    #[prost(message, optional, tag = "139")]
    pub batch_norm: Option<BatchNorm>,
    #[prost(message, optional, tag = "142")]
    pub scale: Option<Scale>,
    #[prost(message, optional, tag = "143")]
    pub input: Option<Input>,
}

/// A layer of the old format; its parameters are the same messages under other numbers.
#[derive(Clone, PartialEq, Message)]
pub struct V1LayerParameter {
    #[prost(string, repeated, tag = "2")]
    pub bottom: Vec<String>,
    #[prost(string, repeated, tag = "3")]
    pub top: Vec<String>,
    #[prost(string, optional, tag = "4")]
    pub name: Option<String>,
    #[prost(int32, optional, tag = "5")]
    pub kind: Option<i32>,
    #[prost(message, repeated, tag = "6")]
    pub blobs: Vec<BlobProto>,
    #[prost(message, optional, tag = "9")]
    pub concat: Option<Concat>,
    #[prost(message, optional, tag = "10")]
    pub convolution: Option<Convolution>,
    #[prost(message, optional, tag = "17")]
    pub inner_product: Option<InnerProduct>,
    #[prost(message, optional, tag = "18")]
    pub lrn: Option<Lrn>,
    #[prost(message, optional, tag = "19")]
    pub pooling: Option<Pooling>,
    #[prost(message, optional, tag = "21")]
    pub power: Option<Power>,
    #[prost(message, optional, tag = "24")]
    pub eltwise: Option<Eltwise>,
    #[prost(message, optional, tag = "30")]
    pub relu: Option<Relu>,
    #[prost(message, repeated, tag = "32")]
    pub include: Vec<NetStateRule>,
    #[prost(message, optional, tag = "36")]
    pub transform: Option<Transformation>,
    #[prost(message, optional, tag = "39")]
    pub softmax: Option<Softmax>,
}

impl V1LayerParameter {
    /// The layer in the current format.
    pub fn upgraded(self) -> LayerParameter {
        let kind = match self.kind.unwrap_or(0) {
            1 => "Accuracy",
            3 => "Concat",
            4 => "Convolution",
            5 => "Data",
            6 => "Dropout",
            8 => "Flatten",
            12 => "ImageData",
            14 => "InnerProduct",
            15 => "LRN",
            17 => "Pooling",
            18 => "ReLU",
            19 => "Sigmoid",
            20 => "Softmax",
            21 => "SoftmaxWithLoss",
            22 => "Split",
            23 => "TanH",
            25 => "Eltwise",
            26 => "Power",
            _ => "",
        };
        let unnamed = || format!("V1 layer type {}", self.kind.unwrap_or(0));
        LayerParameter {
            kind: Some(if kind.is_empty() { unnamed() } else { kind.into() }),
            name: self.name,
            bottom: self.bottom,
            top: self.top,
            blobs: self.blobs,
            include: self.include,
            transform: self.transform,
            concat: self.concat,
            convolution: self.convolution,
            eltwise: self.eltwise,
            inner_product: self.inner_product,
            lrn: self.lrn,
            pooling: self.pooling,
            power: self.power,
            relu: self.relu,
            softmax: self.softmax,
            ..LayerParameter::default()
        }
    }
}

#[derive(Clone, PartialEq, Message)]
pub struct NetStateRule {
    /// 0: training, 1: test.
    #[prost(int32, optional, tag = "1")]
    pub phase: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
pub struct BlobShape {
    #[prost(int64, repeated, tag = "1")]
    pub dim: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct BlobProto {
    #[prost(int32, optional, tag = "1")]
    pub num: Option<i32>,
    #[prost(int32, optional, tag = "2")]
    pub channels: Option<i32>,
    #[prost(int32, optional, tag = "3")]
    pub height: Option<i32>,
    #[prost(int32, optional, tag = "4")]
    pub width: Option<i32>,
    #[prost(float, repeated, tag = "5")]
    pub data: Vec<f32>,
    #[prost(message, optional, tag = "7")]
    pub shape: Option<BlobShape>,
    #[prost(double, repeated, tag = "8")]
    pub double_data: Vec<f64>,
    /// Variants of Caffe: 0 double, 1 float, 2 half.
    #[prost(int32, optional, tag = "10")]
    pub raw_data_type: Option<i32>,
    #[prost(bytes = "vec", optional, tag = "12")]
    pub raw_data: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Transformation {
    /// Factor after the mean was subtracted.
    #[prost(float, optional, tag = "1")]
    pub scale: Option<f32>,
    #[prost(uint32, optional, tag = "3")]
    pub crop_size: Option<u32>,
    #[prost(string, optional, tag = "4")]
    pub mean_file: Option<String>,
    /// One for all planes, or one a plane (B, G, R).
    #[prost(float, repeated, tag = "5")]
    pub mean_value: Vec<f32>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Concat {
    #[prost(uint32, optional, tag = "1")]
    pub concat_dim: Option<u32>,
    #[prost(int32, optional, tag = "2")]
    pub axis: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Convolution {
    #[prost(uint32, optional, tag = "1")]
    pub num_output: Option<u32>,
    #[prost(bool, optional, tag = "2")]
    pub bias_term: Option<bool>,
    #[prost(uint32, repeated, tag = "3")]
    pub pad: Vec<u32>,
    #[prost(uint32, repeated, tag = "4")]
    pub kernel_size: Vec<u32>,
    #[prost(uint32, optional, tag = "5")]
    pub group: Option<u32>,
    #[prost(uint32, repeated, tag = "6")]
    pub stride: Vec<u32>,
    #[prost(uint32, optional, tag = "9")]
    pub pad_h: Option<u32>,
    #[prost(uint32, optional, tag = "10")]
    pub pad_w: Option<u32>,
    #[prost(uint32, optional, tag = "13")]
    pub stride_h: Option<u32>,
    #[prost(uint32, optional, tag = "14")]
    pub stride_w: Option<u32>,
    #[prost(uint32, repeated, tag = "18")]
    pub dilation: Vec<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Eltwise {
    /// 0: product, 1: sum, 2: maximum.
    #[prost(int32, optional, tag = "1")]
    pub operation: Option<i32>,
    #[prost(float, repeated, tag = "2")]
    pub coeff: Vec<f32>,
}

#[derive(Clone, PartialEq, Message)]
pub struct InnerProduct {
    #[prost(uint32, optional, tag = "1")]
    pub num_output: Option<u32>,
    #[prost(bool, optional, tag = "2")]
    pub bias_term: Option<bool>,
    #[prost(int32, optional, tag = "5")]
    pub axis: Option<i32>,
    #[prost(bool, optional, tag = "6")]
    pub transpose: Option<bool>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Lrn {
    #[prost(uint32, optional, tag = "1")]
    pub local_size: Option<u32>,
    #[prost(float, optional, tag = "2")]
    pub alpha: Option<f32>,
    #[prost(float, optional, tag = "3")]
    pub beta: Option<f32>,
    /// 0: across channels.
    #[prost(int32, optional, tag = "4")]
    pub norm_region: Option<i32>,
    #[prost(float, optional, tag = "5")]
    pub k: Option<f32>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Pooling {
    /// 0: maximum, 1: mean.
    #[prost(int32, optional, tag = "1")]
    pub pool: Option<i32>,
    #[prost(uint32, optional, tag = "2")]
    pub kernel_size: Option<u32>,
    #[prost(uint32, optional, tag = "3")]
    pub stride: Option<u32>,
    #[prost(uint32, optional, tag = "4")]
    pub pad: Option<u32>,
    #[prost(uint32, optional, tag = "5")]
    pub kernel_h: Option<u32>,
    #[prost(uint32, optional, tag = "6")]
    pub kernel_w: Option<u32>,
    #[prost(uint32, optional, tag = "7")]
    pub stride_h: Option<u32>,
    #[prost(uint32, optional, tag = "8")]
    pub stride_w: Option<u32>,
    #[prost(uint32, optional, tag = "9")]
    pub pad_h: Option<u32>,
    #[prost(uint32, optional, tag = "10")]
    pub pad_w: Option<u32>,
    #[prost(bool, optional, tag = "12")]
    pub global_pooling: Option<bool>,
    /// 0: up, 1: down.
    #[prost(int32, optional, tag = "13")]
    pub round_mode: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Power {
    #[prost(float, optional, tag = "1")]
    pub power: Option<f32>,
    #[prost(float, optional, tag = "2")]
    pub scale: Option<f32>,
    #[prost(float, optional, tag = "3")]
    pub shift: Option<f32>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Relu {
    #[prost(float, optional, tag = "1")]
    pub negative_slope: Option<f32>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Softmax {
    #[prost(int32, optional, tag = "2")]
    pub axis: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
pub struct BatchNorm {
    #[prost(float, optional, tag = "3")]
    pub eps: Option<f32>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Scale {
    #[prost(int32, optional, tag = "1")]
    pub axis: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Input {
    #[prost(message, repeated, tag = "1")]
    pub shape: Vec<BlobShape>,
}
