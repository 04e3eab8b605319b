//! Between candle's tensors and the flat vector.

use candle_core::{
    CpuStorage, Device, InplaceOp1, Layout, Result, Storage, Tensor, Var, backprop::GradStore,
};

use crate::{parameter_layout::ParameterLayout, training_error::TrainingError};

/// One variable per parameter on `device`, in the order of `layout`, with the values of `flat`.
pub(super) fn variables(layout: &ParameterLayout, flat: &[f32], device: &Device) -> Result<Vec<Var>> {
    let places = layout.places().iter();
    places.map(|place| Var::from_slice(&flat[place.range()], place.shape.as_slice(), device)).collect()
}

/// Gives the variables the values of `flat`, in the memory that they have.
pub(super) fn assign(layout: &ParameterLayout, flat: &[f32], variables: &[Var]) -> Result<()> {
    match variables.first() {
        Some(variable) if !variable.device().is_cpu() => transfer(layout, flat, variables, variable.device()),
        _ => layout
            .places()
            .iter()
            .zip(variables)
            .try_for_each(|(place, variable)| variable.inplace_op1(&Assignment(&flat[place.range()]))),
    }
}

/// [`assign`] for any device: one transfer, cut up over there.
fn transfer(layout: &ParameterLayout, flat: &[f32], variables: &[Var], device: &Device) -> Result<()> {
    let flat = Tensor::from_slice(flat, flat.len(), device)?;
    for (place, variable) in layout.places().iter().zip(variables) {
        let range = place.range();
        variable.set(&flat.narrow(0, range.start, range.len())?.reshape(place.shape.as_slice())?)?;
    }
    Ok(())
}

struct Assignment<'a>(&'a [f32]);

impl InplaceOp1 for Assignment<'_> {
    fn name(&self) -> &'static str {
        "assignment"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        match (storage, layout.contiguous_offsets()) {
            (CpuStorage::F32(values), Some((start, end))) if end - start == self.0.len() => {
                values[start..end].copy_from_slice(self.0);
                Ok(())
            }
            _ => candle_core::bail!("{} values for a variable of shape {:?}", self.0.len(), layout.shape()),
        }
    }
}

/// Writes the gradient of each variable to its place in `out`.
///
/// # Errors
/// [`TrainingError::NoGradient`] with all the parameters that the backward pass did not reach: candle leaves them out
/// without a word, whether the model forgot them or an operation has no backward pass.
pub(super) fn collect(
    gradients: &GradStore,
    variables: &[Var],
    layout: &ParameterLayout,
    out: &mut [f32],
) -> std::result::Result<(), TrainingError> {
    let places = layout.places();
    let missing = places.iter().zip(variables).filter(|(_, variable)| gradients.get(variable).is_none());
    let missing: Vec<String> = missing.map(|(place, _)| place.name.clone()).collect();
    if !missing.is_empty() {
        return Err(TrainingError::NoGradient { parameters: missing });
    }
    let gradients: Vec<&Tensor> = variables.iter().filter_map(|variable| gradients.get(variable)).collect();
    let copied = match gradients.first() {
        Some(gradient) if !gradient.device().is_cpu() => fetch(&gradients, out),
        _ => places
            .iter()
            .zip(gradients)
            .try_for_each(|(place, gradient)| copy(gradient, &mut out[place.range()])),
    };
    copied.map_err(TrainingError::compute("flat gradient"))
}

/// Copies gradients of all parameters, in the order of the layout, from any device: put together over there, one transfer.
fn fetch(gradients: &[&Tensor], out: &mut [f32]) -> Result<()> {
    let parts: Vec<Tensor> =
        gradients.iter().map(|gradient| gradient.flatten_all()).collect::<Result<_>>()?;
    let values = Tensor::cat(&parts, 0)?.to_vec1::<f32>()?;
    if values.len() != out.len() {
        candle_core::bail!("gradients of {} elements for {}", values.len(), out.len());
    }
    out.copy_from_slice(&values);
    Ok(())
}

fn copy(tensor: &Tensor, out: &mut [f32]) -> Result<()> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(storage), Some((start, end))) if end - start == out.len() => {
            out.copy_from_slice(&storage.as_slice::<f32>()?[start..end]);
            Ok(())
        }
        _ => candle_core::bail!("a gradient of shape {:?} for {} elements", layout.shape(), out.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{Initial, ParameterDeclaration};

    fn layout() -> ParameterLayout {
        let declaration = |name: &str, shape: &[usize]| ParameterDeclaration {
            name: name.to_owned(),
            shape: shape.to_vec(),
            initial: Initial::Constant(1.0),
        };
        ParameterLayout::new(&[declaration("b", &[2]), declaration("a", &[2, 2]), declaration("c", &[1])])
    }

    /// c is cut off, as by an operation without a backward pass; b is never used.
    #[test]
    fn parameters_that_the_loss_does_not_reach_are_named() {
        let layout = layout();
        let variables = variables(&layout, &[1.0; 7], &Device::Cpu).unwrap();
        let used = variables[0].sum_all().unwrap();
        let cut = variables[2].as_tensor().detach().sum_all().unwrap();
        let gradients = (used + cut).unwrap().backward().unwrap();
        let error = collect(&gradients, &variables, &layout, &mut [0.0; 7]).unwrap_err();
        assert_eq!(error.to_string(), "2 of the model's parameters get no gradient: b, c");
    }

    #[test]
    fn gradients_and_values_go_to_their_places() {
        let layout = layout();
        let variables = variables(&layout, &[0.0; 7], &Device::Cpu).unwrap();
        // What is done for a GPU gives the same on the processor.
        for both in
            [assign, |layout: &_, flat: &_, variables: &_| transfer(layout, flat, variables, &Device::Cpu)]
        {
            assign(&layout, &[9.0; 7], &variables).unwrap();
            both(&layout, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], &variables).unwrap();
            assert_eq!(variables[1].to_vec1::<f32>().unwrap(), [5.0, 6.0]);
        }
        // Half the sum of squares of everything, a through its transpose: each gradient is its value.
        let square = |tensor: &Tensor| (tensor.sqr().unwrap().sum_all().unwrap() * 0.5).unwrap();
        let loss = square(&variables[0].t().unwrap().contiguous().unwrap());
        let loss = ((loss + square(&variables[1])).unwrap() + square(&variables[2])).unwrap();
        let gradients = loss.backward().unwrap();
        let mut out = [0.0; 7];
        collect(&gradients, &variables, &layout, &mut out).unwrap();
        assert_eq!(out, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        let gradients: Vec<&Tensor> =
            variables.iter().map(|variable| gradients.get(variable).unwrap()).collect();
        let mut fetched = [0.0; 7];
        fetch(&gradients, &mut fetched).unwrap();
        assert_eq!(fetched, out);
        assert!(fetch(&gradients[1..], &mut fetched).is_err());
    }
}
