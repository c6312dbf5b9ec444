package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// zswapdConfig runs the binary with a configuration file and returns what it printed.
func zswapdConfig(t *testing.T, text string, args ...string) (path, stdout, stderr string, code int) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "c.toml")
	noErr(t, os.WriteFile(path, []byte(text), 0o644))
	var out, errs bytes.Buffer
	cmd := exec.Command(binary, append(append([]string{"config"}, args...), path)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return path, out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func TestConfigCheck(t *testing.T) {
	path, out, errs, code := zswapdConfig(t, "dor = 1\n[swap]\nsize = \"8 Gigs\"\n", "check")
	want := "zswapd: " + path + ":1: dor = 1: no such key; do you mean door?\nzswapd: " + path + ":3: swap.size = "
	if code != exitUsage || out != "" || !strings.HasPrefix(errs, want) || strings.Count(errs, "\n") != 2 {
		t.Errorf("exit code %d, %q, %q", code, out, errs)
	}
	if _, _, errs, code := zswapdConfig(t, "", "check", "another.toml"); code != exitUsage || !strings.Contains(errs, "2 arguments: want zswapd config check [flags] [FILE]") {
		t.Errorf("two files: exit code %d, %q", code, errs)
	}
	noErr(t, os.Chmod(path, 0o666))
	for name, says := range map[string]string{path: path + " can be written by everybody; chmod o-w " + path + "\n", t.TempDir(): "is a directory\n", "": "the name of the file is empty\n"} {
		out, err := exec.Command(binary, "config", "check", name).CombinedOutput()
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != exitUsage || !strings.HasSuffix(string(out), says) {
			t.Errorf("config check %q: %v, %q", name, err, out)
		}
	}
	// What is too large here is right on a larger machine.
	if _, _, errs, code := zswapdConfig(t, "[swap]\nsize=\"1TiB\"\n[pool]\nmax_pool_size = \"600GiB\"\n", "check", "--ram", "1G"); code != exitUsage || !strings.Contains(errs, "more than the RAM (1 GiB)") {
		t.Errorf("exit code %d, %q", code, errs)
	}
	if _, out, errs, code := zswapdConfig(t, "[swap]\nsize=\"1TiB\"\n[pool]\nmax_pool_size = \"600GiB\"\n", "check", "--ram", "2T"); code != 0 || out+errs != "" {
		t.Errorf("exit code %d, %q, %q", code, out, errs)
	}
}

func TestConfigShow(t *testing.T) {
	path, out, errs, code := zswapdConfig(t, "[swap]\nsize = \"ram / 2\"\n", "show", "--ram", "4G")
	for _, line := range []string{`# "ram / 2", ` + path + ":2\n", ` size = "2GiB"`, "#priority = 100"} {
		if code != 0 || errs != "" || !strings.Contains(out, line) {
			t.Errorf("exit code %d, %q: no %q in\n%s", code, errs, line, out)
		}
	}
	_, again, _, _ := zswapdConfig(t, out, "show", "--ram", "4G")
	if !strings.Contains(again, ` size = "2GiB"`) {
		t.Errorf("what is shown does not load: %s", again)
	}
	_, out, _, _ = zswapdConfig(t, "[swap]\nsize = \"ram / 2\"\n", "show", "--json", "--ram", "4G")
	var r struct {
		Version   int
		RAMBytes  int64 `json:"ram_bytes"`
		PoolLimit int64 `json:"pool_limit_bytes"`
		Settings  []struct {
			Key, Value, Change string
			From               struct {
				File string
				Line int
			}
		}
	}
	noErr(t, json.Unmarshal([]byte(out), &r))
	if r.Version != 1 || r.RAMBytes != 4<<30 || r.PoolLimit == 0 || len(r.Settings) < 20 || r.Settings[1].Value != `"2GiB"` || r.Settings[1].From.Line != 2 || r.Settings[1].Change != "stop and start" {
		t.Errorf("%+v", r)
	}
}
