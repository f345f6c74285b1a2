package analyze

import (
	"slices"
	"strings"

	"bugcheck/dump"
	"bugcheck/kernel"
	"bugcheck/mem"
	"bugcheck/report"
	"bugcheck/win"
)

// Object is what a stop code's parameter points to in the I/O manager's world, with
// the driver that it belongs to.
type Object struct {
	Parameter         int    // 1 to 4
	Kind              string // one of the words below
	Driver            string // image; "" if not in the dump
	Request           string // of a request, what it asks for: IRP_MJ_POWER
	Service, Instance string // of the device node
	Function          string // image of that service, where it is loaded
	Stack             []string
}

// The kinds of objects.
const (
	objectDevice  = "device"
	objectPDO     = "physical device" // its service's driver is meant, not the bus driver that made it
	objectDriver  = "driver"
	objectRequest = "request"
	objectFx      = "power framework device"
)

// objectAt says where a stop code points to an object, and whether its documentation
// says that the mistake is that driver's.
type objectAt struct {
	parameter int
	kind      string
	blame     bool
}

// object reads the object that a parameter points to; a missing one is noted.
func (c *collection) object(o objectAt) {
	if o.parameter == 0 || c.facts.Parameters[o.parameter-1] == 0 || c.m.Arch == dump.X86 {
		return
	}
	va := mem.VA(c.facts.Parameters[o.parameter-1])
	out := &Object{Parameter: o.parameter, Kind: o.kind}
	if err := c.describeObject(out, va); err != nil && out.Driver == "" {
		c.note("object", report.T("What parameter %d points to cannot be read: %v.", o.parameter, err.Error()))
	}
	if out.Service != "" {
		if mod, ok := c.m.ModuleNamed(out.Service + ".sys"); ok {
			out.Function = mod.Name
		}
	}
	c.facts.Object = out
}

func (c *collection) describeObject(out *Object, va mem.VA) error {
	switch out.Kind {
	case objectDriver:
		d, err := c.m.DriverObject(va)
		out.Driver = d.Image
		return err
	case objectRequest:
		r, err := c.m.Request(va)
		p := pending(c.m, r)
		out.Driver, out.Request = p.Driver, p.what()
		return err
	case objectFx:
		n, err := c.m.PowerFxDevice(va)
		out.Driver, out.Service, out.Instance = n.Driver, n.Service, n.Instance
		return err
	}
	d, err := c.m.DeviceObject(va)
	out.Driver, out.Service, out.Instance = d.Driver, d.Service, d.Instance
	stack, _ := c.m.DeviceStack(va) // as far as it is in the dump
	for _, d := range stack {
		if d.Driver != "" {
			out.Stack = append(out.Stack, d.Driver)
		}
	}
	return err
}

// responsible is the driver that answers for an object; "" where that is not known.
func (o *Object) responsible() string {
	switch {
	case o.Kind == objectPDO:
		return o.Function
	case o.Kind == objectFx && !thirdParty(o.Driver) && o.Function != "":
		return o.Function
	}
	return o.Driver
}

// judgeObject says whose object it is. Where blame is set, the documentation of the
// stop code makes that driver the culprit.
func (j *judgement) judgeObject(at objectAt) {
	o := j.f.Object
	if o == nil {
		return
	}
	source := parameter(o.Parameter)
	switch {
	case o.Driver == "":
	case o.Kind == objectRequest:
		j.evidence(report.Recorded, source, report.T("The request (%s) is with %s.", o.Request, o.Driver))
	case o.Kind == objectDriver:
		j.evidence(report.Recorded, source, report.T("The driver object is that of %s.", o.Driver))
	case o.Kind == objectFx:
		j.evidence(report.Recorded, source, report.T("The device's power request is with %s.", o.Driver))
	default:
		j.evidence(report.Recorded, source, report.T("The device object belongs to %s.", o.Driver))
	}
	if o.Instance != "" {
		j.evidence(report.Recorded, source, report.T("The device is %s (service %s).", o.Instance, orUnknown(o.Service)))
	}
	if len(o.Stack) > 1 {
		j.evidence(report.Recorded, report.T("device stack"), report.T("The drivers of the device, the top one first: %s.", strings.Join(o.Stack, ", ")))
	}
	j.blameObject(o, at.blame)
}

func (j *judgement) blameObject(o *Object, blame bool) {
	image := o.responsible()
	switch {
	case image == "" || kernel.ModuleName(image) == "nt": // the kernel owns devices that it made for others
	case blame && thirdParty(image):
		j.convict(image, kernel.ModuleName(image), "", report.High)
	case blame:
		j.convict(image, kernel.ModuleName(image), "", report.Low)
	case thirdParty(image):
		j.suggest(image, report.T("the object that parameter %d points to is its", o.Parameter))
	}
}

// judgePlace blames the driver whose code a parameter points to, where the
// documentation of the stop code says that the code there made the mistake.
func (j *judgement) judgePlace(n int) {
	p := j.f.Places[n-1]
	if p.Kind != PlaceModule {
		return
	}
	j.evidence(report.Recorded, parameter(n), report.T("That code is %s.", p.at()))
	if p.Module == "nt" {
		return
	}
	confidence := report.High
	if !thirdParty(p.Image) {
		confidence = report.Low
	}
	j.convict(p.Image, p.Module, p.Symbol, confidence)
}

// suggestKinds names the loaded drivers of third parties that are of a kind: where
// a part of Windows found what such a driver did wrong, and the dump does not say
// which.
func (j *judgement) suggestKinds(why report.Text, kinds ...string) {
	for _, i := range j.f.Images {
		d, _ := win.English.Driver(i.Image)
		if slices.Contains(kinds, d.Kind) && !d.Microsoft() && !isDumpCopy(i.Image) && len(j.v.Alternatives) < maxAlternatives {
			j.suggest(i.Image, why)
		}
	}
}

// detector settles that a driver of Windows that the stack blames has only found
// what another did wrong.
func (j *judgement) detector() {
	if f, ok := blamed(j.f); !ok || !thirdParty(f.Image) {
		j.limit(report.Low)
	}
}

// meaningOf makes evidence of what the catalogue says of the value of parameter n.
func (j *judgement) meaningOf(n int) {
	if v, ok := win.English.Value(j.f.Code, n, j.f.Parameters[n-1]); ok {
		j.evidence(report.Recorded, parameter(n), report.T(v.Meaning))
		return
	}
	j.evidence(report.Recorded, parameter(n), report.T("The kind, 0x%x, is not among those that are documented.", j.f.Parameters[n-1]))
}
