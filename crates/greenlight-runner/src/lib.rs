//! The hands: processes, workspaces, steps, commands, masks.
