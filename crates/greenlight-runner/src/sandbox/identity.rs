//! Becoming the job's user: what root started gives up root's rights, all of them, for ever.
//!
//! `bwrap` needs root's rights to reach the job's folders, the job needs none. The first process gives them up by itself, before it has
//! a second thread and before anything of the job runs: a program in between for each of these calls would cost more than the calls.

use std::io;

use rustix::process::{DumpableBehavior, Gid, Signal, Uid, set_dumpable_behavior, set_parent_process_death_signal};
use rustix::thread::{
    CapabilitySet, CapabilitySets, UnshareFlags, clear_ambient_capability_set, remove_capability_from_bounding_set,
    set_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

/// Makes this process, which has one thread, that user, with no groups and no rights beyond. Where `inner_id` is said, it is in a user
/// namespace of its own then, under that number: there the kernel counts its processes apart from everybody else's.
pub(super) fn assume(id: u32, inner_id: Option<u32>) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id));
    set_thread_groups(&[])?;
    narrow_bounds()?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    give_up_rights()?;
    if let Some(inner_id) = inner_id {
        enter_namespace(id, inner_id)?;
        // Who makes a user namespace has all rights over it.
        narrow_bounds()?;
        give_up_rights()?;
    }
    // The kernel forgot it with the change of the user.
    Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
}

/// Takes every right from what this process and all that it starts could ever get back.
fn narrow_bounds() -> io::Result<()> {
    for place in 0..u64::BITS {
        match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << place)) {
            Ok(()) => {}
            // The kernel knows no more of them.
            Err(rustix::io::Errno::INVAL) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Gives up what this process has.
fn give_up_rights() -> io::Result<()> {
    let none = CapabilitySet::empty();
    clear_ambient_capability_set()?;
    Ok(set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?)
}

fn enter_namespace(id: u32, inner_id: u32) -> io::Result<()> {
    #[expect(deprecated, reason = "it is deprecated for what it does to files that threads share; this shares none")]
    rustix::thread::unshare(UnshareFlags::NEWUSER)?;
    // Who changed its user does not own its own files in /proc until it is said to be like any other again.
    set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("{inner_id} {id} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("{inner_id} {id} 1"))
}
