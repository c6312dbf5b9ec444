package replay

import "io"

func (r *Report) WriteHTML(w io.Writer, command []string) error { return nil }
