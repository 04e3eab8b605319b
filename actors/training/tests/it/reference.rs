//! LeNet on the digits once more, in f64 with plain loops, from the definitions alone: nothing of the crate's data,
//! layers or model is used. One image at a time; images are `[channel][row][column]` in one vector.

use std::io::Read;

use traind_training::ParameterLayout;

const KERNEL: usize = 5;

/// The digits file, read independently of the crate.
pub(crate) struct DigitImages {
    lines: Vec<Vec<u8>>,
}

impl DigitImages {
    pub(crate) fn load() -> Self {
        let mut text = String::new();
        let bytes = &include_bytes!("../../data/digits.csv.gz")[..];
        flate2::read::GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
        let parse = |line: &str| line.split(',').map(|value| value.parse().unwrap()).collect();
        Self { lines: text.lines().map(parse).collect() }
    }

    /// The image scaled to 32×32 and normalised, rounded to f32 as the input of a model in f32 is.
    pub(crate) fn image(&self, sample: u32) -> Vec<f64> {
        let line = &self.lines[sample as usize];
        let pixel = |index: usize| line[index / 32 / 4 * 8 + index % 32 / 4];
        let normalised = |pixel: u8| (f32::from(pixel) / 16.0 - 0.305_806_68) / 0.376_442_3;
        (0..32 * 32).map(|index| f64::from(normalised(pixel(index)))).collect()
    }

    pub(crate) fn label(&self, sample: u32) -> usize {
        usize::from(self.lines[sample as usize][64])
    }
}

struct Layer<'a> {
    weight: &'a [f64],
    bias: &'a [f64],
}

/// Gradients of a layer: weight, bias, input.
type Gradients = (Vec<f64>, Vec<f64>, Vec<f64>);

impl Layer<'_> {
    /// Calls `visit(output index, weight index, input index)` for every product of a convolution.
    fn for_each_product(&self, input: &[f64], side: usize, mut visit: impl FnMut(usize, usize, usize)) {
        let (inputs, side_out) = (input.len() / side / side, side - KERNEL + 1);
        for output in 0..self.bias.len() {
            for pixel in 0..side_out * side_out {
                for channel in 0..inputs {
                    for tap in 0..KERNEL * KERNEL {
                        let (row, column) =
                            (pixel / side_out + tap / KERNEL, pixel % side_out + tap % KERNEL);
                        visit(
                            output * side_out * side_out + pixel,
                            (output * inputs + channel) * KERNEL * KERNEL + tap,
                            (channel * side + row) * side + column,
                        );
                    }
                }
            }
        }
    }

    fn convolve(&self, input: &[f64], side: usize) -> Vec<f64> {
        let pixels = (side - KERNEL + 1).pow(2);
        let mut output: Vec<f64> = self.bias.iter().flat_map(|bias| vec![*bias; pixels]).collect();
        self.for_each_product(input, side, |o, w, i| output[o] += self.weight[w] * input[i]);
        output
    }

    fn convolve_backward(&self, input: &[f64], side: usize, gradient: &[f64]) -> Gradients {
        let (mut weights, mut inputs) = (vec![0.0; self.weight.len()], vec![0.0; input.len()]);
        self.for_each_product(input, side, |o, w, i| {
            weights[w] += gradient[o] * input[i];
            inputs[i] += gradient[o] * self.weight[w];
        });
        let pixels = (side - KERNEL + 1).pow(2);
        (weights, gradient.chunks_exact(pixels).map(|channel| channel.iter().sum()).collect(), inputs)
    }

    fn full(&self, input: &[f64]) -> Vec<f64> {
        let rows = self.weight.chunks_exact(input.len()).zip(self.bias);
        rows.map(|(row, bias)| bias + row.iter().zip(input).map(|(w, x)| w * x).sum::<f64>()).collect()
    }

    fn full_backward(&self, input: &[f64], gradient: &[f64]) -> Gradients {
        let weights = gradient.iter().flat_map(|g| input.iter().map(move |x| g * x)).collect();
        let mut inputs = vec![0.0; input.len()];
        for (row, g) in self.weight.chunks_exact(input.len()).zip(gradient) {
            inputs.iter_mut().zip(row).for_each(|(sum, w)| *sum += g * w);
        }
        (weights, gradient.to_vec(), inputs)
    }
}

fn relu(values: &[f64]) -> Vec<f64> {
    values.iter().map(|value| value.max(0.0)).collect()
}

fn relu_backward(values: &[f64], gradient: &[f64]) -> Vec<f64> {
    values.iter().zip(gradient).map(|(value, gradient)| if *value > 0.0 { *gradient } else { 0.0 }).collect()
}

/// For each output pixel of a 2×2 pooling the index of the first of the largest inputs.
fn pool_sources(input: &[f64], side: usize) -> Vec<usize> {
    let half = side / 2;
    let planes = input.len() / side / side;
    (0..planes * half * half)
        .map(|output| {
            let (plane, row, column) = (output / half / half, output / half % half, output % half);
            let corner = (plane * side + 2 * row) * side + 2 * column;
            let mut best = corner;
            for candidate in [corner + 1, corner + side, corner + side + 1] {
                if input[candidate] > input[best] {
                    best = candidate;
                }
            }
            best
        })
        .collect()
}

fn unpool(sources: &[usize], gradient: &[f64], elements: usize) -> Vec<f64> {
    let mut input = vec![0.0; elements];
    sources.iter().zip(gradient).for_each(|(source, gradient)| input[*source] += gradient);
    input
}

/// The loss of one image, and its gradient in the order of the layout.
pub(crate) fn loss_and_gradient(
    parameters: &[f64],
    layout: &ParameterLayout,
    image: &[f64],
    label: usize,
) -> (f64, Vec<f64>) {
    let range = |name: String| layout.places().iter().find(|place| place.name == name).unwrap().range();
    let layer = |name: &str| Layer {
        weight: &parameters[range(format!("{name}.weight"))],
        bias: &parameters[range(format!("{name}.bias"))],
    };
    let [conv1, conv2, fc1, fc2, fc3] = ["conv1", "conv2", "fc1", "fc2", "fc3"].map(layer);

    let convolved1 = conv1.convolve(image, 32);
    let relu1 = relu(&convolved1);
    let sources1 = pool_sources(&relu1, 28);
    let pooled1: Vec<f64> = sources1.iter().map(|source| relu1[*source]).collect();
    let convolved2 = conv2.convolve(&pooled1, 14);
    let relu2 = relu(&convolved2);
    let sources2 = pool_sources(&relu2, 10);
    let pooled2: Vec<f64> = sources2.iter().map(|source| relu2[*source]).collect();
    let full1 = fc1.full(&pooled2);
    let hidden1 = relu(&full1);
    let full2 = fc2.full(&hidden1);
    let hidden2 = relu(&full2);
    let logits = fc3.full(&hidden2);

    let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
    let loss = sum.ln() - logits[label];
    let mut to_logits: Vec<f64> = logits.iter().map(|logit| logit.exp() / sum).collect();
    to_logits[label] -= 1.0;

    let to_fc3 = fc3.full_backward(&hidden2, &to_logits);
    let to_fc2 = fc2.full_backward(&hidden1, &relu_backward(&full2, &to_fc3.2));
    let to_fc1 = fc1.full_backward(&pooled2, &relu_backward(&full1, &to_fc2.2));
    let to_relu2 = unpool(&sources2, &to_fc1.2, relu2.len());
    let to_conv2 = conv2.convolve_backward(&pooled1, 14, &relu_backward(&convolved2, &to_relu2));
    let to_relu1 = unpool(&sources1, &to_conv2.2, relu1.len());
    let to_conv1 = conv1.convolve_backward(image, 32, &relu_backward(&convolved1, &to_relu1));

    let mut gradient = vec![0.0; parameters.len()];
    let layers =
        [("conv1", to_conv1), ("conv2", to_conv2), ("fc1", to_fc1), ("fc2", to_fc2), ("fc3", to_fc3)];
    for (name, (weight, bias, _)) in layers {
        gradient[range(format!("{name}.weight"))].copy_from_slice(&weight);
        gradient[range(format!("{name}.bias"))].copy_from_slice(&bias);
    }
    (loss, gradient)
}
