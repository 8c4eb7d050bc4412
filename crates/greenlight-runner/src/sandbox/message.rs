//! What runner and sandbox say to each other: frames of a kind and some fields, a pipe's end beside those that start something.

use std::io::{IoSlice, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};

/// How large a frame may be: more than the kernel takes as a program's arguments and variables.
const FRAME_BYTES_MAX: u32 = 16 << 20;

/// What a frame is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// To the sandbox, first: what it lays over the files, as whom it goes on, and what may be read and written.
    Rules,
    /// From the sandbox, first: it stands.
    Ready,
    /// To it: start a program.
    Spawn,
    /// From it: the program runs.
    Started,
    /// From it: the program could not be started.
    Failed,
    /// From it: the program ended.
    Exited,
    /// To it: a signal for a program's group.
    Signal,
    /// To it: kill a program with all that it started.
    Kill,
    /// To it: nobody asks about this program any more.
    Forget,
    /// To it: stop everything that runs, until `Thaw`.
    Freeze,
    /// From it: everything stands still.
    Frozen,
    /// To it: go on.
    Thaw,
}

const KINDS: [Kind; 12] = [
    Kind::Rules,
    Kind::Ready,
    Kind::Spawn,
    Kind::Started,
    Kind::Failed,
    Kind::Exited,
    Kind::Signal,
    Kind::Kill,
    Kind::Forget,
    Kind::Freeze,
    Kind::Frozen,
    Kind::Thaw,
];

/// A frame that is being written.
#[derive(Debug)]
pub(crate) struct Frame(Vec<u8>);

impl Frame {
    pub(crate) fn new(kind: Kind) -> Self {
        Self(vec![0, 0, 0, 0, kind as u8])
    }

    pub(crate) fn number(self, number: u32) -> Self {
        self.bytes(&number.to_le_bytes())
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.0.extend_from_slice(&length.to_le_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn list<T: AsRef<[u8]>>(self, list: impl ExactSizeIterator<Item = T>) -> Self {
        let length = u32::try_from(list.len()).unwrap_or(u32::MAX);
        list.fold(self.number(length), |frame, item| frame.bytes(item.as_ref()))
    }

    /// Returns the bytes to send, where they are not too many.
    pub(crate) fn finish(mut self) -> std::io::Result<Vec<u8>> {
        let length = u32::try_from(self.0.len() - 4).ok().filter(|length| *length <= FRAME_BYTES_MAX);
        let length = length.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::ArgumentListTooLong))?;
        self.0[..4].copy_from_slice(&length.to_le_bytes());
        Ok(self.0)
    }
}

/// A frame that is being read.
#[derive(Debug)]
pub(crate) struct Fields {
    pub(crate) kind: Kind,
    bytes: Vec<u8>,
    at: usize,
}

impl Fields {
    /// Reads the part of a frame behind its length.
    pub(crate) fn parse(bytes: Vec<u8>) -> std::io::Result<Self> {
        let kind = bytes.first().and_then(|kind| KINDS.get(usize::from(*kind)).copied());
        Ok(Self { kind: kind.ok_or_else(broken)?, bytes, at: 1 })
    }

    pub(crate) fn bytes(&mut self) -> std::io::Result<&[u8]> {
        let length = self.bytes.get(self.at..self.at + 4).and_then(|length| length.try_into().ok());
        let length = u32::from_le_bytes(length.ok_or_else(broken)?) as usize;
        let begin = self.at + 4;
        let field = self.bytes.get(begin..begin.saturating_add(length)).ok_or_else(broken)?;
        self.at = begin + length;
        Ok(field)
    }

    pub(crate) fn number(&mut self) -> std::io::Result<u32> {
        Ok(u32::from_le_bytes(self.bytes()?.try_into().map_err(|_| broken())?))
    }

    pub(crate) fn text(&mut self) -> std::io::Result<String> {
        Ok(String::from_utf8_lossy(self.bytes()?).into_owned())
    }

    pub(crate) fn list(&mut self) -> std::io::Result<Vec<Vec<u8>>> {
        let length = self.number()?;
        (0..length).map(|_| Ok(self.bytes()?.to_vec())).collect()
    }
}

fn broken() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, "a message of the sandbox cannot be read")
}

/// Returns how long the frame is that begins with these bytes.
pub(crate) fn length_of(head: [u8; 4]) -> std::io::Result<usize> {
    let length = u32::from_le_bytes(head);
    if length == 0 || length > FRAME_BYTES_MAX { Err(broken()) } else { Ok(length as usize) }
}

/// Sends the first bytes, with a pipe's end where there is one. Returns how many were sent.
pub(crate) fn send(socket: BorrowedFd<'_>, bytes: &[u8], fd: Option<&OwnedFd>) -> std::io::Result<usize> {
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = SendAncillaryBuffer::new(&mut room);
    let fds = fd.map(|fd| [fd.as_fd()]);
    if let Some(fds) = &fds
        && !beside.push(SendAncillaryMessage::ScmRights(fds))
    {
        return Err(broken());
    }
    Ok(sendmsg(socket, &[IoSlice::new(bytes)], &mut beside, SendFlags::NOSIGNAL)?)
}

/// Waits for a frame, as the sandbox does. Nothing where the runner is gone.
pub(crate) fn receive(
    mut socket: &std::os::unix::net::UnixStream,
) -> std::io::Result<Option<(Fields, Option<OwnedFd>)>> {
    let mut head = [0; 4];
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = RecvAncillaryBuffer::new(&mut room);
    let got = recvmsg(socket, &mut [IoSliceMut::new(&mut head)], &mut beside, RecvFlags::CMSG_CLOEXEC)?;
    let fd = beside.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    if got.bytes == 0 {
        return Ok(None);
    }
    socket.read_exact(&mut head[got.bytes..])?;
    let mut bytes = vec![0; length_of(head)?];
    socket.read_exact(&mut bytes)?;
    Ok(Some((Fields::parse(bytes)?, fd)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_as_it_was_written() {
        let frame = Frame::new(Kind::Spawn).number(7).list(["a", ""].iter()).bytes(b"x\0y").finish().unwrap();
        assert_eq!(length_of(frame[..4].try_into().unwrap()).unwrap(), frame.len() - 4);
        let mut fields = Fields::parse(frame[4..].to_vec()).unwrap();
        assert_eq!((fields.kind, fields.number().unwrap()), (Kind::Spawn, 7));
        assert_eq!(fields.list().unwrap(), [b"a".to_vec(), Vec::new()]);
        assert_eq!(fields.bytes().unwrap(), b"x\0y");
        assert!(fields.bytes().is_err(), "there is no more");
    }

    #[test]
    fn kinds_keep_their_places() {
        for (place, kind) in KINDS.iter().enumerate() {
            assert_eq!(*kind as usize, place);
        }
    }
}
