//! The connection to the gateway.

use crate::v1::speech_recognition_service_client::SpeechRecognitionServiceClient;
use crate::v1::{ListModelsRequest, ListModelsResponse, StreamingConfig};
use crate::{Call, Code, Error, Sender};
use std::sync::Arc;
use std::time::Duration;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::Request;

pub(crate) type Stub = SpeechRecognitionServiceClient<Channel>;
type OnRetry = Arc<dyn Fn(&Error, Duration) + Send + Sync>;

/// Of a client. The default is a connection in plain text, without a key, whose calls survive a restart of the gateway.
#[derive(Clone)]
pub struct Options {
    /// Sent with every call; without TLS others may read it on the way.
    pub api_key: Option<String>,
    pub is_encrypted: bool,
    /// PEM certificates of the authorities to trust; by default those of the system.
    pub ca: Option<Vec<u8>>,
    /// Whether a new call continues one that was lost.
    pub reconnect: bool,
    /// How long a call looks for a gateway that answers before it ends with the last error.
    pub give_up: Duration,
    /// How much audio without a final result is kept, to be sent again in a new call.
    pub keep: Duration,
    /// Called before each wait for a new attempt.
    pub on_retry: Option<OnRetry>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            api_key: None,
            is_encrypted: false,
            ca: None,
            reconnect: true,
            give_up: Duration::from_secs(60),
            keep: Duration::from_secs(60),
            on_retry: None,
        }
    }
}

/// A connection to one gateway, for any number of calls at the same time.
#[derive(Clone)]
pub struct Client {
    pub(crate) stub: Stub,
    pub(crate) options: Arc<Options>,
    authorization: Option<MetadataValue<Ascii>>,
}

impl Client {
    /// Returns a client that connects with its first call; the target is `host:port`. Needs a Tokio runtime.
    pub fn new(target: &str, options: Options) -> Result<Self, Error> {
        let authorization = options.api_key.as_deref().map(authorization).transpose()?;
        let endpoint = endpoint(target, &options).map_err(|cause| {
            Error::new(
                Code::InvalidArgument,
                format!("the target must be HOST:PORT, not {target} ({cause})"),
            )
        })?;
        Ok(Self {
            stub: Stub::new(endpoint.connect_lazy()),
            options: Arc::new(options),
            authorization,
        })
    }

    /// Prepares a call that begins with the first [`Call::message`]; the timeout limits all of it.
    pub fn recognize(&self, config: StreamingConfig, timeout: Option<Duration>) -> (Sender, Call) {
        Call::new(self.clone(), config, timeout)
    }

    /// Returns the models and their aliases.
    pub async fn list_models(&self) -> Result<ListModelsResponse, Error> {
        let request = self.request(ListModelsRequest {});
        Ok(self.stub.clone().list_models(request).await?.into_inner())
    }

    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(value) = &self.authorization {
            request.metadata_mut().insert("authorization", value.clone());
        }
        request
    }
}

fn endpoint(target: &str, options: &Options) -> Result<Endpoint, tonic::transport::Error> {
    let scheme = if options.is_encrypted { "https" } else { "http" };
    // A speaker may be silent for long: pings keep proxies from dropping the quiet connection.
    let endpoint = Endpoint::from_shared(format!("{scheme}://{target}"))?
        .http2_keep_alive_interval(Duration::from_secs(60))
        .keep_alive_timeout(Duration::from_secs(20))
        .connect_timeout(Duration::from_secs(5));
    if !options.is_encrypted {
        return Ok(endpoint);
    }
    let tls = ClientTlsConfig::new();
    endpoint.tls_config(match &options.ca {
        Some(pem) => tls.ca_certificate(Certificate::from_pem(pem)),
        None => tls.with_native_roots(),
    })
}

fn authorization(key: &str) -> Result<MetadataValue<Ascii>, Error> {
    let is_plain = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
    let value = is_plain.then(|| format!("Bearer {key}").parse().ok()).flatten();
    value.ok_or_else(|| {
        let rule = "the API key must consist of ASCII letters, digits and signs, without blanks";
        Error::new(Code::InvalidArgument, rule)
    })
}
