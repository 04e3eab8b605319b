mod cluster;
mod founding;
mod jobs;
mod plans;
mod random;
mod views;
