package analyze

import (
	"strings"

	"bugcheck/kernel"
	"bugcheck/report"
)

// userReport turns what a report has of a kernel dump into what it has of a
// program: no stop code, but the exception, the process and its threads.
func userReport(m *kernel.Machine, c *collection, r *report.Report) {
	u := m.User
	r.Bugcheck, r.Threads = nil, c.threads
	if m.Header.Build == 0 {
		r.System.Name = "Windows" // the stream that tells is missing
	}
	if s := u.ServicePack; strings.HasPrefix(s, "Service Pack") {
		r.System.Name += " " + s
	}
	if x := r.Exception; x != nil {
		x.Reason = c.facts.User.Reason
		for _, p := range c.facts.User.Parameters {
			x.Parameters = append(x.Parameters, report.Hex(p))
		}
	}
	if r.Process != nil {
		r.Process.Threads = len(u.Threads)
		if created := u.Process.Created; !created.IsZero() {
			r.Process.StartedAt = &created
		}
	}
	if t, ok := u.CrashThread(); ok && r.Thread != nil {
		r.Thread.Name = t.Name
	}
	for _, a := range u.Annotations {
		r.Annotations = append(r.Annotations, report.Annotation{Name: a.Key, Value: a.Value})
	}
	userModules(c, r)
	if f := u.Memory; f.Known && f.Committed <= f.CommitLimit && f.Committed/pressureShare >= f.CommitLimit/100 && f.CommitLimit > 0 {
		size := uint64(f.PageSize)
		r.Notes = append(r.Notes, report.Note{Where: "memory", Text: report.T("The commit charge was at its limit: %d of %d MiB were promised. A machine in that state fails in many places.", f.Committed*size>>20, f.CommitLimit*size>>20)})
	}
}

// userModules adds the versions, and by its folder whether a module comes with
// Windows.
func userModules(c *collection, r *report.Report) {
	for i := range r.Modules {
		mod := &r.Modules[i]
		mod.ThirdParty = nil
		if v := c.m.Modules[i].Version; v != "" {
			mod.Version = v
		}
		if inside, known := c.facts.User.Windows[strings.ToLower(mod.Image)]; known {
			third := !inside
			mod.ThirdParty = &third
		}
	}
}
