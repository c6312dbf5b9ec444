package serve

import "github.com/zswapd/zswapd/internal/guard"

// dropPrivileges gives up what is not needed once we serve.
func (d *Daemon) dropPrivileges() {
	if err := guard.DropPowers(); err != nil {
		d.log.Warn("more privileges are kept than are needed: " + err.Error())
	}
}
