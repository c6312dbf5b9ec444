package guest

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var (
	inGuest = flag.Bool("guest", false, "boot virtual machines; as root, with qemu-system-x86_64, mmdebstrap and e2fsprogs")
	keep    = flag.String("keep", "", "folder for the consoles and the output of the guests")
)

// silence is how long a guest may print nothing before it counts as stalled: emulated, short of memory, on a host that has other
// things to do.
const silence = 3 * time.Minute

// boots is how long it may take to say its first word: emulated, on a host that has other things to do.
const boots = 5 * time.Minute

// vm is a machine that runs a payload once.
type vm struct {
	memory int    // MiB
	cpus   int    // virtual
	run    string // shell script
	files  map[string]string
	limit  time.Duration
	stall  bool // it is expected to stall; stalled returns true then

	panics  int    // while it booted
	reboots bool   // the payload runs again when the machine has rebooted
	console string // after boot: what the kernel and systemd said
}

// boot runs the machine to its end and returns what the payload printed, and whether it stalled. It fails the test if the
// payload failed, or the kernel complained.
func (v *vm) boot(t *testing.T) (output string, stalled bool) {
	t.Helper()
	if !*inGuest {
		t.Skip("needs -guest")
	}
	dir := t.TempDir()
	payload, log, console := filepath.Join(dir, "payload"), filepath.Join(dir, "test.log"), filepath.Join(dir, "console.log")
	if *keep != "" {
		defer func() { keepLogs(t, log, console) }()
	}
	v.prepare(t, payload)
	image := imageDir(t)
	ctx, cancel := context.WithTimeout(t.Context(), v.limit)
	defer cancel()
	qemu := exec.CommandContext(ctx, "qemu-system-x86_64",
		"-accel", "tcg,thread=multi", "-cpu", "max", "-M", "q35", "-m", fmt.Sprint(v.memory), "-smp", fmt.Sprint(v.cpus),
		"-nodefaults", "-no-user-config", "-display", "none",
		"-kernel", filepath.Join(image, "vmlinuz"), "-initrd", filepath.Join(image, "initrd"),
		"-append", "console=ttyS0 root=LABEL=root rw net.ifnames=0 no_timer_check loglevel=7 panic=-1 oops=panic sysctl.kernel.sysrq=1",
		"-drive", "file="+filepath.Join(image, "root.ext4")+",if=virtio,format=raw,snapshot=on,cache=unsafe",
		"-virtfs", "local,path="+payload+",mount_tag=payload,security_model=none",
		"-device", "virtio-rng-pci",
		"-chardev", "socket,id=console,path="+filepath.Join(dir, "console.sock")+",server=on,wait=off,logfile="+console,
		"-serial", "chardev:console", "-serial", "file:"+log,
		"-monitor", "unix:"+filepath.Join(dir, "monitor.sock")+",server=on,wait=off",
	)
	if !v.reboots {
		qemu.Args = append(qemu.Args, "-no-reboot")
	}
	patience := silence
	if v.reboots {
		patience = boots
	}
	var complaint bytes.Buffer
	qemu.Stdout, qemu.Stderr = &complaint, &complaint
	if err := qemu.Start(); err != nil {
		t.Fatalf("start qemu: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- qemu.Wait() }()
	for size, since := int64(-1), time.Now(); ; {
		select {
		case err := <-ended:
			text, _ := os.ReadFile(log)
			kernel, _ := os.ReadFile(console)
			if len(text) == 0 && strings.Contains(string(kernel), "Kernel panic") && v.panics < 2 {
				v.panics++ // code that one emulated CPU patches while another runs it
				t.Logf("the guest's kernel did not get as far as to the payload; again:\n%s", tail(string(kernel), 2000))
				return v.boot(t)
			}
			code, _ := os.ReadFile(filepath.Join(payload, "exit-code"))
			if err != nil || strings.TrimSpace(string(code)) != "0" {
				t.Errorf("qemu: %v %s; payload's exit code %q", err, complaint.Bytes(), code)
			}
			v.console = string(kernel)
			judge(t, string(text), v.console)
			return string(text), false
		case <-time.After(time.Second):
		}
		if info, err := os.Stat(log); err == nil && info.Size() != size {
			size, since = info.Size(), time.Now()
		}
		if time.Since(since) > patience && (size > 0 || time.Since(since) > boots) {
			text, _ := os.ReadFile(log)
			if !v.stall {
				sysrq(dir, "9wltllm") // all messages, blocked tasks, what the CPUs do, all tasks, the CPUs again (twice), memory
				kernel, _ := os.ReadFile(console)
				t.Errorf("the guest stalled. It printed:\n%s\nBlocked:\n%s", tail(string(text), 4000), tail(string(kernel), 200000))
			}
			cancel()
			<-ended
			return string(text), true
		}
	}
}

// testBinary builds the tests of a package.
func testBinary(t *testing.T, pkg string) string {
	t.Helper()
	if !*inGuest {
		t.Skip("needs -guest")
	}
	path := filepath.Join(t.TempDir(), pkg+".test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-ldflags=-s -w", "-o", path, "../"+pkg)
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// prepare fills the folder that the guest gets.
func (v *vm) prepare(t *testing.T, payload string) {
	if err := os.Mkdir(payload, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(payload, "run"), []byte("#!/bin/bash\n"+v.run), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, from := range v.files {
		data, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(payload, name), data, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// judge fails the test for what a guest that came to its end must not have said.
func judge(t *testing.T, text, kernel string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "FAIL") {
			t.Error(strings.TrimSpace(line))
		}
	}
	for _, bad := range []string{"blocked for more than", "Kernel panic", "BUG:", "soft lockup", "self-detected stall"} {
		if _, after, found := strings.Cut(kernel, bad); found {
			t.Errorf("the guest's kernel says: %s%s", bad, tail(after[:min(len(after), 3000)], 3000))
		}
	}
	if t.Failed() {
		t.Logf("the guest printed:\n%s\nand its kernel:\n%s", tail(text, 6000), tail(kernel, 6000))
	}
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

func keepLogs(t *testing.T, paths ...string) {
	dir := filepath.Join(*keep, strings.ReplaceAll(t.Name(), "/", "-"))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Log(err)
	}
	for _, p := range paths {
		if data, err := os.ReadFile(p); err == nil {
			_ = os.WriteFile(filepath.Join(dir, filepath.Base(p)), data, 0o644)
		}
	}
}

// imageDir makes the image, unless it is there.
func imageDir(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "zswapd-guest")
	if out, err := exec.CommandContext(t.Context(), "./image", dir).CombinedOutput(); err != nil {
		t.Fatalf("make the image: %v\n%s", err, tail(string(out), 4000))
	}
	return dir
}

// sysrq presses keys of the guest's magic SysRq on its console. A guest without a free page answers it, too.
func sysrq(dir, keys string) {
	say := func(socket, text string) {
		if c, err := net.DialTimeout("unix", filepath.Join(dir, socket), time.Second); err == nil {
			_, _ = c.Write([]byte(text))
			time.Sleep(300 * time.Millisecond)
			_ = c.Close()
		}
	}
	for _, key := range keys {
		say("monitor.sock", "chardev-send-break console\n")
		say("console.sock", string(key))
		time.Sleep(3 * time.Second) // it prints as it goes
	}
}
