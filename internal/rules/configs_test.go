package rules

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every setting in a sysctl.d is one that the kernel has, with a number and a reason above it.
func TestSysctls(t *testing.T) {
	files, err := filepath.Glob("../../*/sysctl.d/*.conf")
	if err != nil || len(files) != 2 {
		t.Fatalf("files %v: %v", files, err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		settings, above := 0, ""
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			if key, value, ok := strings.Cut(line, " = "); ok && !strings.HasPrefix(line, "#") {
				settings++
				if _, err := os.Stat("/proc/sys/" + strings.ReplaceAll(key, ".", "/")); err != nil || strings.Trim(value, "0123456789") != "" {
					t.Errorf("%s: %s: %v", f, line, err)
				}
				if !strings.HasPrefix(above, "#") {
					t.Errorf("%s: %s: no reason above it", f, line)
				}
			} else if line != "" && !strings.HasPrefix(line, "#") {
				t.Errorf("%s: %q is no setting", f, line)
			}
			above = line
		}
		if settings == 0 {
			t.Errorf("%s sets nothing", f)
		}
	}
}
