package rules

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// systemdTool returns the path of a program of systemd. Where tests must not be skipped, it must be there.
func systemdTool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("ZSWAPD_TEST_ROOT") == "required" {
			t.Fatalf("%v: install systemd", err)
		}
		t.Skip(err)
	}
	return path
}

func systemdVersion(t *testing.T, tool string) int {
	out, err := exec.Command(tool, "--version").Output()
	m := regexp.MustCompile(`^systemd (\d+)`).FindSubmatch(out)
	if err != nil || m == nil {
		t.Fatalf("%s --version: %v: %s", tool, err, out)
	}
	v, _ := strconv.Atoi(string(m[1]))
	return v
}

// newer are keys that an older systemd does not know. It says so, and goes on without.
var newer = map[string]int{"FileDescriptorStorePreserve": 254, "RestartSteps": 254, "RestartMaxDelaySec": 254}

// unit copies the unit to a folder of its own, with a program that is there, and edit's changes.
func unit(t *testing.T, edit func(string) string) string {
	t.Helper()
	text, err := os.ReadFile("../../systemd/zswapd.service")
	if err != nil {
		t.Fatal(err)
	}
	program, err := exec.LookPath("true")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "zswapd.service")
	if err := os.WriteFile(path, []byte(edit(strings.ReplaceAll(string(text), "/usr/bin/zswapd", program))), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// verify returns what systemd-analyze verify complains of, but for keys that this version does not know.
func verify(t *testing.T, path string) (complaints []string) {
	t.Helper()
	tool := systemdTool(t, "systemd-analyze")
	out, err := exec.Command(tool, "verify", "--man=no", path).CombinedOutput()
	version := systemdVersion(t, tool)
	unknown := regexp.MustCompile(`Unknown key (?:name )?'(\w+)' in section`)
	for line := range strings.Lines(string(out)) {
		if m := unknown.FindStringSubmatch(line); m == nil || version >= newer[m[1]] {
			complaints = append(complaints, strings.TrimSpace(line))
		}
	}
	if err != nil {
		complaints = append(complaints, err.Error())
	}
	return complaints
}

func TestUnit(t *testing.T) {
	if complaints := verify(t, unit(t, func(s string) string { return s })); len(complaints) > 0 {
		t.Errorf("systemd-analyze verify: %s", strings.Join(complaints, "\n"))
	}
	// The test sees what it should see.
	for name, edit := range map[string]func(string) string{
		"unknown key": func(s string) string { return strings.Replace(s, "[Install]", "NoSuchKey=1\n[Install]", 1) },
		"bad value":   func(s string) string { return strings.Replace(s, "Type=notify", "Type=notice", 1) },
		"no program":  func(s string) string { return strings.Replace(s, "ExecStart=/", "ExecStart=/no", 1) },
	} {
		if len(verify(t, unit(t, edit))) == 0 {
			t.Errorf("%s: not noticed", name)
		}
	}
}

// The unit has the powers that it needs and few others: systemd's own figure, 0 to 10, is at most 3.0.
func TestUnitExposure(t *testing.T) {
	tool := systemdTool(t, "systemd-analyze")
	security := func(edit func(string) string) (string, error) {
		cmd := exec.Command(tool, "security", "--offline=yes", "--no-pager", "--threshold=30", unit(t, edit))
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.Output()
		return string(out) + errs.String(), err
	}
	if out, err := security(func(s string) string { return s }); err != nil || !strings.Contains(out, "Overall exposure level") {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
	if out, err := security(func(s string) string { return regexp.MustCompile(`(?m)^SystemCallFilter=.*\n`).ReplaceAllString(s, "") }); err == nil {
		t.Errorf("without its filters: not noticed\n%s", out)
	}
}

// What the unit promises, in its own words: a line that goes by mistake is missed.
func TestUnitPromises(t *testing.T) {
	text, err := os.ReadFile("../../systemd/zswapd.service")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for _, want := range []string{
		"Type=notify", "NotifyAccess=main", "ExecStart=/usr/bin/zswapd serve --keeper --config /etc/zswapd/zswapd.toml", "ExecReload=/usr/bin/zswapd reload",
		"FileDescriptorStorePreserve=yes", "Restart=always", "RestartPreventExitStatus=0 78", "WatchdogSec=2min", "StartLimitIntervalSec=0",
		"OOMScoreAdjust=-1000", "OOMPolicy=continue", "LimitMEMLOCK=infinity", "MemoryMin=64M", "MemorySwapMax=0", "LimitCORE=0", "Slice=-.slice",
		"KillMode=mixed", "KillSignal=SIGTERM", "RestartKillSignal=SIGUSR2", "TimeoutStopSec=infinity",
		"DefaultDependencies=no", "Before=swap.target", "After=systemd-sysctl.service", "WantedBy=swap.target", "RuntimeDirectoryPreserve=yes",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %s", want)
		}
	}
	for _, line := range lines { // what would order us after swap.target, end us at shutdown before swap is off, or hide our devices
		for _, never := range []string{"PrivateTmp=y", "PrivateDevices=y", "Conflicts=", "RestrictRealtime=y", "After=local-fs.target", "RequiresMountsFor="} {
			if strings.HasPrefix(line, never) {
				t.Errorf("the line %s", line)
			}
		}
	}
}

func TestTmpfiles(t *testing.T) {
	tool := systemdTool(t, "systemd-tmpfiles")
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	root := t.TempDir()
	for _, f := range []string{"/etc/passwd", "/etc/group"} {
		if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, f), []byte("root:x:0:0::/:/bin/sh\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	conf, err := filepath.Abs("../../systemd/tmpfiles.d/zswapd.conf")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(tool, "--create", "--root="+root, conf).CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%v: %s", err, out)
	}
	for dir, want := range map[string]fs.FileMode{"run/zswapd": 0o755, "var/lib/zswapd": 0o700} {
		info, err := os.Stat(filepath.Join(root, dir))
		if err != nil || info.Mode().Perm() != want || !info.IsDir() {
			t.Errorf("%s: %v, %v", dir, info, err)
		}
	}
}
