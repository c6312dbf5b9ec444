package guest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestBoot is the service under systemd, from its installation to the end of the machine; the script boot has the steps.
func TestBoot(t *testing.T) {
	if !*inGuest {
		t.Skip("needs -guest")
	}
	files := map[string]string{
		"boot": "boot", "zswapd.service": "../../systemd/zswapd.service", "zswapd.toml": "../../configs/zswapd.toml",
		"60-zswapd.conf": "../../systemd/sysctl.d/60-zswapd.conf", "tmpfiles.conf": "../../systemd/tmpfiles.d/zswapd.conf",
		"zswapd-a": program(t, "boot-a"), "zswapd-b": program(t, "boot-b"),
	}
	v := vm{memory: 768, cpus: 2, limit: 40 * time.Minute, run: "./boot", files: files, reboots: true}
	output, _ := v.boot(t)
	for _, step := range []string{"== .* reboot", "== .* after the reboot", "== .* poweroff"} {
		if !regexp.MustCompile(step).MatchString(output) {
			t.Errorf("it did not come to %s", step)
		}
	}
	// The kernel's and systemd's last words: swap was turned off while somebody served it, and no page was asked for in vain.
	for _, bad := range []string{"Read-error on swap-device", "I/O error", "Failed deactivating swap", "Failed to deactivate swap", "timed out"} {
		if strings.Contains(v.console, bad) {
			t.Errorf("the console says: %s", bad)
		}
	}
	if n := len(regexp.MustCompile(`Deactivated swap.*ublkb`).FindAllString(v.console, -1)); n != 2 {
		t.Errorf("systemd has turned swap off %d times, want 2: at the reboot and at the end", n)
	}
	t.Log(tail(output, 12000))
}

// program builds zswapd.
func program(t *testing.T, version string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "zswapd")
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-s -w -X main.version="+version, "-o", path, "../../cmd/zswapd")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}
