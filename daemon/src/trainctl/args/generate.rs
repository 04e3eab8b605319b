//! The arguments of `trainctl generate`.

use clap::Args;

#[derive(Debug, Args)]
pub(in super::super) struct GenerateArguments {
    /// A model's directory, hf:OWNER/NAME[@REVISION], or a job that this node has a checkpoint of
    #[arg(value_name = "CHECKPOINT")]
    pub(in super::super) checkpoint: String,
    /// The text to go on with
    pub(in super::super) prompt: String,
    /// Of a job: steps applied [default: the newest checkpoint]
    #[arg(long)]
    pub(in super::super) step: Option<u64>,
    /// Tokens to write at most; the model's context is a limit too
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(in super::super) tokens: u32,
    /// What logits are divided by; 0 takes the likeliest token
    #[arg(long, value_name = "T", default_value_t = 0.8, value_parser = parse_temperature)]
    pub(in super::super) temperature: f64,
    /// Draw from so many of the likeliest tokens; 0 for all
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub(in super::super) top_k: u32,
    /// Draw from the likeliest tokens that together have this share
    #[arg(long, value_name = "P", default_value_t = 1.0, value_parser = parse_share)]
    pub(in super::super) top_p: f64,
    /// Decides what is drawn
    #[arg(long, default_value_t = 0)]
    pub(in super::super) seed: u64,
}

fn parse_temperature(text: &str) -> Result<f64, String> {
    let is_temperature = |value: &f64| (0.0..=100.0).contains(value);
    text.parse().ok().filter(is_temperature).ok_or_else(|| "allowed: a number from 0 to 100".to_owned())
}

fn parse_share(text: &str) -> Result<f64, String> {
    let is_share = |value: &f64| *value > 0.0 && *value <= 1.0;
    text.parse().ok().filter(is_share).ok_or_else(|| "allowed: a number above 0, at most 1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temperatures_and_shares_out_of_range_are_refused() {
        assert_eq!((parse_temperature("0"), parse_share("1")), (Ok(0.0), Ok(1.0)));
        for bad in ["-0.1", "101", "nan", "inf", "x"] {
            assert!(parse_temperature(bad).is_err(), "{bad}");
        }
        for bad in ["0", "1.01", "nan", ""] {
            assert!(parse_share(bad).is_err(), "{bad}");
        }
    }
}
