//! libp2p swarm, discovery, handshake, control streams and bulk connections.
