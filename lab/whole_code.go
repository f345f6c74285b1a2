package lab

// compiled gives the images that exist as code.
type compiled struct{}

// openCompiled returns the compiled images of a build.
func openCompiled(arch string, build int) (compiled, error) { return compiled{}, nil }
