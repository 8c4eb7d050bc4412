//! Logs of job attempts: a file while the attempt runs, compressed blocks in the blob store afterwards.
//!
//! Wanted: no work per line on the way in; a reader begins at any line without reading what is before it; a page follows
//! live, and a slow one costs nobody else anything; after a crash what was acknowledged is there, in order, once.
//!
//! *Live.* Lines come in blocks (`frame`), as the runner's pipe gave them: one write each, checked by a sum, so that a torn
//! end is known after a crash. An index in memory says where every 64 KiB of them begin (`live`). The latest blocks stay in
//! memory as shared buffers: whoever follows reads those; whoever falls behind reads the file, at its own pace.
//!
//! *Finished.* Blocks are gathered to a quarter of a megabyte, compressed one by one, with an index behind them
//! (`finished`); then the file goes. A crash between the two leaves both, and finishing again is harmless. A long log is packed
//! while it grows (`ahead`), so that its end costs no more than a short one's.
//!
//! What comes in is masked already: this module does not know secrets.

mod ahead;
mod finished;
mod follow;
mod frame;
mod live;
mod page;
mod shelf;

pub use follow::Follower;
pub use frame::{LogBlock, LogLine};
pub use live::LOG_BYTES_MAX;
pub use page::{LogPage, LogShape};
pub use shelf::{LogError, Logs};
