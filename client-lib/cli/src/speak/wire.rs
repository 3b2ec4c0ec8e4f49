//! A connection that can be cut: what a tunnel or a lift does to a phone.

use std::sync::Arc;

use sotto_client::transport::{Dial, Line, Pending, WebSocketDialer};
use sotto_client::{Error, ErrorKind, RelayAddress};
use tokio::sync::watch;

/// Dials as usual while it is up.
#[derive(Debug)]
pub(crate) struct Wire {
    dialer: WebSocketDialer,
    up: watch::Sender<bool>,
}

impl Wire {
    pub(crate) fn new(dialer: WebSocketDialer) -> Arc<Self> {
        Arc::new(Self {
            dialer,
            up: watch::Sender::new(true),
        })
    }

    /// Ends what is connected and lets nothing through.
    pub(crate) fn cut(&self) {
        self.up.send_replace(false);
    }

    pub(crate) fn mend(&self) {
        self.up.send_replace(true);
    }
}

fn is_cut() -> Error {
    Error::new(ErrorKind::Unreachable, "the line is cut")
}

impl Dial for Wire {
    fn dial<'a>(
        &'a self,
        address: &'a RelayAddress,
    ) -> Pending<'a, sotto_client::error::Result<Box<dyn Line>>> {
        Box::pin(async move {
            if !*self.up.borrow() {
                return Err(is_cut());
            }
            let line: Box<dyn Line> = Box::new(WireLine {
                line: self.dialer.dial(address).await?,
                up: self.up.subscribe(),
            });
            Ok(line)
        })
    }
}

struct WireLine {
    line: Box<dyn Line>,
    up: watch::Receiver<bool>,
}

impl Line for WireLine {
    fn send(&mut self, message: Vec<u8>) -> Pending<'_, sotto_client::error::Result<()>> {
        if *self.up.borrow() {
            self.line.send(message)
        } else {
            Box::pin(core::future::ready(Err(is_cut())))
        }
    }

    fn receive(&mut self) -> Pending<'_, sotto_client::error::Result<Option<Vec<u8>>>> {
        Box::pin(async move {
            tokio::select! {
                biased;
                _ = self.up.wait_for(|up| !up) => Err(is_cut()),
                message = self.line.receive() => message,
            }
        })
    }
}
