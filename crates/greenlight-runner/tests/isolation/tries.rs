//! The ways out that are tried: what a hostile job does, and by what it shows that it came through.
//!
//! A script says `ESCAPED` when it reached what it must not reach. Names in braces are put in: `{data}` the server's folder, `{work}` the
//! jobs', `{pid}` the server, `{victim}` a process of its user's, `{next}` a job's folder that is not there yet, `{other}` the workspace
//! of another job that runs meanwhile, `{home}` the server's home folder, `{port}` its listener, `{name}` its abstract socket, `{run}` and
//! `{shm}` a socket and a file of its own there, `{exe}` its program.

/// What holds a try back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// The sandbox as a whole.
    Walls,
    /// The runner itself, on every machine.
    Runner,
    /// Nothing yet: a network of the job's own would.
    Network,
}

/// One way out.
pub struct Try {
    pub name: &'static str,
    pub held: Held,
    /// The steps of the job that tries.
    pub steps: &'static str,
    /// The steps of the job after it, where that one is to be reached.
    pub after: &'static str,
}

const fn walls(name: &'static str, steps: &'static str) -> Try {
    Try { name, held: Held::Walls, steps, after: "" }
}

const fn runner(name: &'static str, steps: &'static str) -> Try {
    Try { name, held: Held::Runner, steps, after: "" }
}

const fn network(name: &'static str, steps: &'static str) -> Try {
    Try { name, held: Held::Network, steps, after: "" }
}

const fn next(name: &'static str, steps: &'static str, after: &'static str) -> Try {
    Try { name, held: Held::Walls, steps, after }
}

/// All of them.
pub const TRIES: &[Try] = &[
    // The server's files.
    walls("read the database", "cat {data}/greenlight.sqlite && echo ESCAPED"),
    walls("read the settings", "cat {data}/greenlight.toml && echo ESCAPED"),
    walls("list the data folder", "ls {data} | grep -q sqlite && echo ESCAPED"),
    walls("read another job's log", "cat {data}/logs/1.log && echo ESCAPED"),
    walls("write into a mirror", "echo evil > {data}/mirrors/demo.git/HEAD && echo ESCAPED"),
    walls("add a hook to a mirror", "mkdir -p {data}/mirrors/demo.git/hooks && echo evil > {data}/mirrors/demo.git/hooks/post-checkout && echo ESCAPED"),
    walls("remove the data folder", "rm -rf {data}/greenlight.sqlite {data}/mirrors; true"),
    walls("the data folder by the root of process 1", "cat /proc/1/root{data}/greenlight.sqlite && echo ESCAPED"),
    walls("the data folder by the root of the server", "cat /proc/{pid}/root{data}/greenlight.sqlite && echo ESCAPED"),
    walls("a link in the workspace to the database", "ln -s {data}/greenlight.sqlite here; cat here && echo ESCAPED"),
    walls("a hard link to the database", "ln {data}/greenlight.sqlite here && echo ESCAPED"),
    walls("the way back by ..", "cat ../../../../../../../../..{data}/greenlight.sqlite && echo ESCAPED"),
    walls("take the cover off in a new namespace", "unshare -Urm sh -c 'umount -l {data}; cat {data}/greenlight.sqlite' && echo ESCAPED"),
    walls("mount the machine's disk", "unshare -Urm sh -c 'mkdir -p d; for d in $(ls /sys/block); do mount /dev/$d d || mount -t ext4 /dev/$d d; done; cat d{data}/greenlight.sqlite' && echo ESCAPED"),
    walls("bind the machine's root elsewhere", "mkdir -p r; unshare -Urm sh -c 'mount --rbind / r; umount -l r{data}; cat r{data}/greenlight.sqlite' && echo ESCAPED"),
    walls("break out of a chroot", "unshare -Ur chroot . /nothing; unshare -Ur sh -c 'cd /; for n in 1 2 3 4 5 6 7 8; do cd ..; done; cat .{data}/greenlight.sqlite' && echo ESCAPED"),
    walls("open files that were left open", "for f in /proc/1/fd/* /proc/self/fd/*; do readlink $f | grep -q sqlite && echo ESCAPED; done; true"),
    walls("change the server's program", "echo evil >> {exe} && echo ESCAPED"),
    walls("change the first process's program", "echo evil >> /proc/1/exe && echo ESCAPED"),
    walls("the server's own home folder", "cat {home}/.isolate-secret && echo ESCAPED"),
    walls("a key for the server's user", "mkdir -p {home}/.ssh && echo evil > {home}/.ssh/isolate_keys && echo ESCAPED"),
    walls("a file in memory of the server's", "cat {shm} && echo ESCAPED"),
    // The machine.
    walls("change a program of the machine", "echo evil > /usr/bin/isolate-evil && echo ESCAPED"),
    walls("change the table of users", "echo evil::0:0::/:/bin/sh >> /etc/passwd && echo ESCAPED"),
    walls("read the passwords", "cat /etc/shadow && echo ESCAPED"),
    walls("a timer by cron", "echo '* * * * * root true' > /etc/cron.d/isolate && echo ESCAPED; echo '* * * * * true' > /var/spool/cron/crontabs/isolate && echo ESCAPED"),
    walls("a service by systemd", "mkdir -p /etc/systemd/system && echo > /etc/systemd/system/isolate.service && echo ESCAPED"),
    walls("a program for core files", "echo '|/bin/true' > /proc/sys/kernel/core_pattern && echo ESCAPED"),
    walls("a sysrq", "echo h > /proc/sysrq-trigger && echo ESCAPED"),
    walls("read the machine's disk", "for d in $(ls /sys/block); do head -c 1 /dev/$d && echo ESCAPED; done; true"),
    walls("make the disk's device anew", "for d in /sys/block/*; do n=$(cat $d/dev); mknod m b ${n%:*} ${n#*:} && head -c 1 m && echo ESCAPED; done; true"),
    walls("leave the control group", "for f in $(find /sys/fs/cgroup -maxdepth 2 -name cgroup.procs); do echo $$ > $f && echo ESCAPED; done; true"),
    walls("an agent for empty control groups", "for f in $(find /sys/fs/cgroup -maxdepth 2 -name release_agent); do echo /bin/true > $f && echo ESCAPED; done; true"),
    walls("become root by sudo or su", "sudo -n true && echo ESCAPED; su -c true < /dev/null && echo ESCAPED; true"),
    walls("root's own files as root of a new namespace", "unshare -Ur cat /etc/shadow && echo ESCAPED"),
    walls("a shell with root's rights for later", "cp /bin/sh s && chown root s && chmod 4755 s && ./s -p -c 'test $(stat -c %u {data}/greenlight.sqlite) = $(id -u)' && echo ESCAPED"),
    walls("a module for the kernel", "modprobe dummy && echo ESCAPED; insmod /dev/null && echo ESCAPED; true"),
    walls("a higher priority", "renice -n -5 $$ && echo ESCAPED"),
    // The server's processes, and other jobs'.
    walls("the server's variables", "tr '\\0' '\\n' < /proc/{pid}/environ | grep -q ISOLATE_SECRET && echo ESCAPED"),
    walls("everybody's variables", "cat /proc/[0-9]*/environ | tr '\\0' '\\n' | grep -q '^ISOLATE_SECRET=' && echo ESCAPED; true"),
    walls("everybody's command lines", "cat /proc/[0-9]*/cmdline | tr '\\0' '\\n' | grep -qx '9876[1]' && echo ESCAPED; true"),
    walls("look into the first process", "(cat /proc/1/maps || ls /proc/1/fd/) > /dev/null 2>&1 && echo ESCAPED; true"),
    walls("trace the first process", "timeout 5 strace -p 1 2>&1 | grep -q attached && echo ESCAPED; true"),
    walls("kill the server", "kill -9 {pid} {victim} && echo ESCAPED; true"),
    walls("kill everybody", "(trap '' TERM; kill -9 -1) || true"),
    walls("stop the server", "kill -STOP {pid} {victim} && echo ESCAPED; true"),
    walls("trace a process of the server's", "timeout 5 strace -p {victim} 2>&1 | grep -q attached && echo ESCAPED; true"),
    walls("write into a process's memory", "echo evil > /proc/{victim}/mem && echo ESCAPED"),
    walls("change a process's limits", "prlimit --pid {victim} --nofile=1:1 && echo ESCAPED"),
    walls("enter the server's namespaces", "nsenter -t {pid} -a true && echo ESCAPED; nsenter -t 1 -a cat {data}/greenlight.sqlite && echo ESCAPED; true"),
    walls("another job's workspace", "cat {other}/secret && echo ESCAPED; echo evil > {other}/README && echo ESCAPED; true"),
    walls("another job's home and temporary folder", "cat {other}/../_home/secret {other}/../_tmp/secret /tmp/secret && echo ESCAPED; true"),
    walls("another job's processes", "pkill -9 -f 98762 && echo ESCAPED; true"),
    walls("the folder of a job to come", "mkdir -p {next}/demo && echo ESCAPED"),
    // What stays alive.
    walls("a daemon in a session of its own", "setsid sleep 98763 > /dev/null 2>&1 & sleep 0.05"),
    walls("a daemon without variables, folder and parents", "(setsid env -i sh -c 'cd /; (sleep 98763 &)' > /dev/null 2>&1 &); sleep 0.05"),
    walls("a daemon that hears no signal", "nohup sh -c 'trap \"\" HUP INT TERM; while true; do sleep 98763; done' > /dev/null 2>&1 & sleep 0.05"),
    walls("a stopped process", "sleep 98763 > /dev/null 2>&1 & kill -STOP $!"),
    walls("a daemon in a namespace of its own", "unshare -Urpf --mount-proc sleep 98763 > /dev/null 2>&1 & sleep 0.1"),
    walls("a fork bomb", "b() { b | b & }; (ulimit -u 2000; b) > /dev/null 2>&1; sleep 0.5; true"),
    walls("end the first process of the sandbox", "setsid sleep 98763 > /dev/null 2>&1 & kill -9 1; sleep 0.05"),
    walls("a file of 10 GB", "fallocate -l 10G big || truncate -s 10G big; true"),
    // Sockets and the network.
    walls("the server's socket", "python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"{data}/control.sock\")' && echo ESCAPED"),
    walls("a socket of the machine's, as Docker's", "python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"{run}\")' && echo ESCAPED"),
    walls("an abstract socket of the server's", "python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"\\0{name}\")' && echo ESCAPED"),
    walls("the terminal", "echo evil > /dev/tty && echo ESCAPED; true"),
    network("the server's pages", "(exec 3<> /dev/tcp/127.0.0.1/{port}) && echo ESCAPED"),
    network("the cloud's metadata address", "ip route get 169.254.169.254 > /dev/null 2>&1 && echo ESCAPED; ls /sys/class/net | grep -qv '^lo$' && echo ESCAPED; true"),
    // The next step and the next job.
    next("a file in /tmp for the next job", "echo evil > /tmp/isolate-left; echo evil > /var/tmp/isolate-left; echo evil > /dev/shm/isolate-left", "ls /tmp/isolate-left /var/tmp/isolate-left /dev/shm/isolate-left | grep -q left && echo ESCAPED; true"),
    next("settings in HOME for the next job", "echo 'echo ESCAPED' | tee ~/.bashrc ~/.profile ~/.bash_profile > /dev/null; git config --global core.fsmonitor 'echo ESCAPED'", "ls -A ~ | grep -q . && echo ESCAPED; true"),
    next("variables for the next job", "echo 'BASH_ENV=/tmp/evil' >> $GITHUB_ENV; echo /tmp/evil >> $GITHUB_PATH", "env | grep -q /tmp/evil && echo ESCAPED; true"),
    next("a tool in the tool cache for the next job", "mkdir -p $RUNNER_TOOL_CACHE && echo evil > $RUNNER_TOOL_CACHE/isolate", "test -e $RUNNER_TOOL_CACHE/isolate && echo ESCAPED; true"),
    Try {
        name: "LD_PRELOAD for the next step",
        held: Held::Runner,
        steps: "echo LD_PRELOAD=/tmp/evil.so >> $GITHUB_ENV; echo NODE_OPTIONS=--require=/tmp/evil >> $GITHUB_ENV
=== env | grep -q evil && echo ESCAPED; true",
        after: "",
    },
    runner("our own variables", "echo GITHUB_REPOSITORY=evil >> $GITHUB_ENV; echo RUNNER_TEMP=evil >> $GITHUB_ENV
=== env | grep -q =evil && echo ESCAPED; true"),
    runner("a variable by what is printed", "echo '::set-env name=EVIL::evil'; echo '::add-path::/evil'; true
=== env | grep -q evil && echo ESCAPED; true"),
    runner("a secret file as a step's output", "rm $GITHUB_OUTPUT $GITHUB_ENV; ln -s {data}/pairs $GITHUB_OUTPUT; ln -s {data}/pairs $GITHUB_ENV
=== env | grep -q of-the-server && echo ESCAPED; true"),
    runner("a secret file as a summary", "rm $GITHUB_STEP_SUMMARY; ln -s {data}/greenlight.sqlite $GITHUB_STEP_SUMMARY"),
    runner("a pipe that nobody writes to as GITHUB_ENV", "rm $GITHUB_ENV; mkfifo $GITHUB_ENV"),
    runner("a device without end as GITHUB_ENV", "rm $GITHUB_ENV; ln -s /dev/zero $GITHUB_ENV"),
    walls("files of the next step led elsewhere", "cd $RUNNER_TEMP; for n in 2 3; do for f in env output path state step_summary; do ln -s {data}/victim _${f}_$n; done; ln -s {data}/victim _step_$n.sh; done
=== true"),
    walls("a checkout led elsewhere while it is written", "(while true; do mkdir way; rmdir way; ln -s {data}/mirrors way; rm way; done) > /dev/null 2>&1 &
=== CHECKOUT way
=== CHECKOUT way"),
    runner("an action from outside the workspace", "true\n=== ACTION ./../../mirrors"),
];
