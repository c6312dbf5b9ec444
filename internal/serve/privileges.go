package serve

func (d *Daemon) dropPrivileges() {}
