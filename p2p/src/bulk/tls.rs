//! TLS 1.3, both sides authenticated by the certificates of libp2p's TLS specification: self-signed, carrying the
//! node's Ed25519 key and its signature of the certificate's own key. So a bulk connection proves the same identity
//! as the control connection.

use std::sync::Arc;

use libp2p::identity::Keypair;
use libp2p_tls::certificate;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureScheme,
};
use thiserror::Error as ThisError;
use traind_protocol::ids::NodeId;

use crate::node_id::node_of;

/// Why TLS could not be set up.
#[derive(Debug, ThisError)]
pub(crate) enum TlsError {
    /// No certificate could be made.
    #[error("make bulk certificate")]
    Certificate(#[source] certificate::GenError),
    /// Its key or the configuration was refused.
    #[error("configure bulk TLS")]
    Configure(#[source] Error),
}

/// This process's certificate and algorithms.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    provider: Arc<CryptoProvider>,
    certified: Arc<CertifiedKey>,
}

impl Credentials {
    pub(crate) fn new(keypair: &Keypair) -> Result<Self, TlsError> {
        let (certificate, key) = certificate::generate(keypair).map_err(TlsError::Certificate)?;
        let key = aws_lc_rs::sign::any_supported_type(&key).map_err(TlsError::Configure)?;
        let certified = Arc::new(CertifiedKey::new(vec![certificate], key));
        Ok(Self { provider: Arc::new(provider()), certified })
    }

    /// This certificate with the key of another: what a thief of certificates could show.
    #[cfg(test)]
    pub(crate) fn with_key_of(&self, other: &Self) -> Arc<CertifiedKey> {
        let key = Arc::clone(&other.certified.key);
        Arc::new(CertifiedKey { cert: self.certified.cert.clone(), key, ocsp: None })
    }

    /// For the listener: any node with a valid certificate; the caller looks who it is.
    pub(crate) fn server(&self) -> Result<ServerConfig, TlsError> {
        let verifier = Arc::new(Verifier { expected: None });
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(TlsError::Configure)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(Certificate(Arc::clone(&self.certified))));
        // No resumption: every connection shows its certificate.
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    /// For a dialler: `expected` and nobody else.
    pub(crate) fn client(&self, expected: NodeId) -> Result<ClientConfig, TlsError> {
        let verifier = Arc::new(Verifier { expected: Some(expected) });
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(TlsError::Configure)?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(Arc::new(Certificate(Arc::clone(&self.certified))));
        config.resumption = Resumption::disabled();
        config.enable_sni = false;
        Ok(config)
    }
}

/// AES-128-GCM first where the processor has AES: measured three to four times as fast as ChaCha20 there.
fn provider() -> CryptoProvider {
    use aws_lc_rs::cipher_suite::{
        TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
    };
    let mut cipher_suites = vec![TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384];
    let place = if has_aes() { cipher_suites.len() } else { 0 };
    cipher_suites.insert(place, TLS13_CHACHA20_POLY1305_SHA256);
    CryptoProvider { cipher_suites, ..aws_lc_rs::default_provider() }
}

fn has_aes() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("aes");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}

/// The node that the other side of a finished handshake proved to be.
pub(crate) fn authenticated(certificates: Option<&[CertificateDer<'_>]>) -> Result<NodeId, Error> {
    match certificates {
        Some([certificate]) => node_in(certificate),
        _ => Err(Error::NoCertificatesPresented),
    }
}

fn node_in(certificate: &CertificateDer<'_>) -> Result<NodeId, Error> {
    let peer = certificate::parse(certificate)?.peer_id();
    node_of(&peer).ok_or_else(|| CertificateError::ApplicationVerificationFailure.into())
}

/// Hands out the one certificate. `with_single_cert` would refuse its critical extension.
#[derive(Debug)]
struct Certificate(Arc<CertifiedKey>);

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

impl ResolvesClientCert for Certificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Checks the peer's certificate: exactly one, its own signature, the key extension, and the expected node.
#[derive(Debug)]
struct Verifier {
    expected: Option<NodeId>,
}

impl Verifier {
    fn verify(&self, end_entity: &CertificateDer<'_>, others: &[CertificateDer<'_>]) -> Result<(), Error> {
        let node = node_in(end_entity)?;
        if !others.is_empty() || self.expected.is_some_and(|expected| expected != node) {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        Ok(())
    }

    fn verify_signature(
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        certificate::parse(certificate)?.verify_signature(signed.scheme, message, signed.signature())?;
        Ok(HandshakeSignatureValid::assertion())
    }

    /// What libp2p's certificates are signed with.
    fn schemes() -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ED25519]
    }

    fn refuse_tls12() -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not offered".to_owned()))
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(end_entity, intermediates)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::refuse_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::verify_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        Self::schemes()
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(end_entity, intermediates)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::refuse_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::verify_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        Self::schemes()
    }
}
