package zram

import (
	"os"
	"testing"

	"github.com/zswapd/zswapd/internal/swaptest"
)

func TestMain(m *testing.M) {
	unlock := swaptest.Lock()
	code := m.Run()
	unlock()
	os.Exit(code)
}
