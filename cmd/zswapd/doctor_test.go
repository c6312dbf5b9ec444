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

// doctorSays runs it on this machine.
func doctorSays(t *testing.T, args ...string) (out, errs string, code int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(binary, append([]string{"doctor"}, args...)...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

// Whatever this machine is like, the exit code says what the text says.
func TestDoctor(t *testing.T) {
	out, errs, code := doctorSays(t)
	if errs != "" || (code == 0) != strings.HasSuffix(out, "\nall is well\n") || (code == exitMachine) != strings.Contains(out, "\nto mend: ") {
		t.Errorf("exit code %d, %q\n%s", code, errs, out)
	}
	out, errs, code = doctorSays(t, "--json")
	var r struct {
		Version  int
		Well     bool
		Findings []struct{ Check, Level, Text, Mend string }
	}
	noErr(t, json.Unmarshal([]byte(out), &r))
	if errs != "" || r.Version != 1 || r.Well != (code == 0) || len(r.Findings) < 15 {
		t.Errorf("exit code %d, %q, %+v", code, errs, r)
	}
}

// A wrong configuration is one of the findings, and the others are there all the same.
func TestDoctorOnAWrongConfiguration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.toml")
	noErr(t, os.WriteFile(path, []byte("dor = 1\n"), 0o644))
	out, _, code := doctorSays(t, "--config", path)
	if code != exitMachine || !strings.Contains(out, "problem  configuration "+path+":1: dor = 1: no such key; do you mean door?\n") || !strings.Contains(out, " doors ") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if _, errs, code := doctorSays(t, "--config", path+"x"); code != exitUsage || !strings.Contains(errs, "does not exist") {
		t.Errorf("exit code %d, %q", code, errs)
	}
	noErr(t, os.WriteFile(path, nil, 0o600)) // nor does one that is not read hide the others
	noErr(t, os.Chmod(path, 0o666))
	out, _, code = doctorSays(t, "--config", path)
	if code != exitMachine || !strings.Contains(out, "chmod o-w "+path+"\n") || !strings.Contains(out, " doors ") {
		t.Errorf("exit code %d\n%s", code, out)
	}
}
