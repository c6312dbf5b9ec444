package control_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/zswapd/zswapd/internal/control"
)

// asEnv makes the test binary a client: the socket's path, and what to ask.
const asEnv = "ZSWAPD_TEST_CLIENT"

func TestMain(m *testing.M) {
	if what := os.Getenv(asEnv); what != "" {
		path, call, _ := strings.Cut(what, " ")
		ask(path, call)
		os.Exit(0)
	}
	if path := os.Getenv(hogEnv); path != "" {
		fmt.Println(len(hog(path)))
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// ask prints what becomes of a call.
func ask(path, call string) {
	c := control.NewClient(path)
	ctx := context.Background()
	calls := map[string]func() error{
		"status":    func() error { _, err := c.Status(ctx); return err },
		"compact":   func() error { _, err := c.Compact(ctx); return err },
		"age":       func() error { _, err := c.Age(ctx); return err },
		"writeback": func() error { _, err := c.WriteBack(ctx, 0); return err },
		"drain":     func() error { _, err := c.Drain(ctx, true); return err },
		"stop":      func() error { _, err := c.Stop(ctx, true); return err },
		"reload":    func() error { _, err := c.Reload(ctx); return err },
		"upgrade":   func() error { return c.Upgrade(ctx, "/bin/true") },
		"set":       func() error { _, err := c.Set(ctx, "pool.limit", "1"); return err },
	}
	err := calls[call]()
	switch {
	case err == nil:
		fmt.Println("done")
	case errors.Is(err, control.ErrDenied):
		fmt.Println("denied:", err)
	default:
		fmt.Println("failed:", err)
	}
}
