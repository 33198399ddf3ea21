//! Client of the speech-recognition gateway: live audio in, text out.

mod call;
mod client;
mod error;
mod kept;
mod wav;

/// The messages of the contract.
pub mod v1 {
    tonic::include_proto!("asrgateway.v1");
}

pub use call::{Call, Sender};
pub use client::{Client, Options};
pub use error::Error;
pub use tonic::Code;
pub use wav::{linear16, read_wav};
