package eventlog

import (
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
	"unicode/utf16"
)

// Types of values.
const (
	typeNull     = 0x00
	typeString   = 0x01
	typeUint8    = 0x04
	typeUint16   = 0x06
	typeUint32   = 0x08
	typeUint64   = 0x0a
	typeBool     = 0x0d
	typeBinary   = 0x0e
	typeGUID     = 0x0f
	typeFileTime = 0x11
	typeHex32    = 0x14
	typeHex64    = 0x15
	typeXML      = 0x21
	typeStrings  = 0x81
)

// arg is a value of a template: its type and its bytes. XML is written in its place,
// since it may hold offsets.
type arg struct {
	kind uint8
	b    []byte
	xml  func()
}

func (c *chunk) fragment() { c.b = append(c.b, 0x0f, 1, 1, 0) }

// event appends the outer template, which every provider has for all its events.
func (c *chunk) event(e *Event, number uint64) {
	guid := arg{kind: typeNull}
	args := []arg{
		{kind: typeUint8, b: []byte{e.Level}}, {kind: typeUint8, b: []byte{0}},
		number16(e.Task), number16(e.ID), number16(0),
		{kind: typeHex64, b: binary.LittleEndian.AppendUint64(nil, e.Keywords)},
		{kind: typeFileTime, b: binary.LittleEndian.AppendUint64(nil, fileTime(e.Time))}, guid,
		number32(e.Process), number32(e.Thread),
		{kind: typeUint64, b: binary.LittleEndian.AppendUint64(nil, number)},
		{kind: typeUint8, b: []byte{e.Version}}, {kind: typeNull},
		{kind: typeXML, xml: func() { c.data(e) }},
	}
	key := strings.Join([]string{"event", e.Provider, e.Source, string(e.GUID[:]), e.Channel, e.Computer, e.User}, "\x00")
	c.template(key, func() { c.system(e) }, args)
}

// system is the outer template's text.
func (c *chunk) system(e *Event) {
	c.element("Event", map1("xmlns", "http://schemas.microsoft.com/win/2004/08/events/event"), func() {
		c.element("System", nil, func() {
			provider := []attr{{"Name", e.Provider, -1, 0}}
			if e.GUID != [16]byte{} {
				provider = append(provider, attr{"Guid", guidText(e.GUID), -1, 0})
			}
			if e.Source != "" {
				provider = append(provider, attr{"EventSourceName", e.Source, -1, 0})
			}
			c.element("Provider", provider, nil)
			c.element("EventID", []attr{{"Qualifiers", "", 4, typeUint16}}, func() { c.place(3, typeUint16) })
			c.valueElement("Version", 11, typeUint8)
			c.valueElement("Level", 0, typeUint8)
			c.valueElement("Task", 2, typeUint16)
			c.valueElement("Opcode", 1, typeUint8)
			c.valueElement("Keywords", 5, typeHex64)
			c.element("TimeCreated", []attr{{"SystemTime", "", 6, typeFileTime}}, nil)
			c.valueElement("EventRecordID", 10, typeUint64)
			c.element("Correlation", []attr{{"ActivityID", "", 7, typeGUID}}, nil)
			c.element("Execution", []attr{{"ProcessID", "", 8, typeUint32}, {"ThreadID", "", 9, typeUint32}}, nil)
			c.element("Channel", nil, func() { c.text(e.Channel) })
			c.element("Computer", nil, func() { c.text(e.Computer) })
			c.element("Security", []attr{{"UserID", "", 12, 0x13}}, nil)
		})
		c.place(13, typeXML)
	})
}

// data is the inner fragment: a template of its own for each event.
func (c *chunk) data(e *Event) {
	c.fragment()
	names := make([]string, len(e.Data))
	args := make([]arg, len(e.Data))
	for i, v := range e.Data {
		names[i] = v.Name
		args[i] = encode(v.Value)
	}
	key := strings.Join(append([]string{"data", e.Provider, e.User, fmt.Sprint(e.ID, e.Version, len(e.Data), len(e.Binary) > 0)}, names...), "\x00")
	switch {
	case e.User != "":
		c.template(key, func() { c.user(e, args) }, args)
	case len(e.Data) > 0 && e.Data[0].Name == "" || len(e.Binary) > 0:
		c.template(key, c.classic, []arg{classicStrings(e.Data), {kind: typeBinary, b: e.Binary}})
	default:
		c.template(key, func() { c.named(e, args) }, args)
	}
	c.b = append(c.b, 0)
}

// classic is what old programs log: strings without names, and bytes.
func (c *chunk) classic() {
	c.element("EventData", nil, func() {
		c.valueElement("Data", 0, typeStrings)
		c.valueElement("Binary", 1, typeBinary)
	})
}

func (c *chunk) named(e *Event, args []arg) {
	c.element("EventData", nil, func() {
		for i, v := range e.Data {
			c.element("Data", map1("Name", v.Name), func() { c.place(i, args[i].kind) })
		}
	})
}

func (c *chunk) user(e *Event, args []arg) {
	c.element("UserData", nil, func() {
		c.element(e.User, nil, func() {
			for i, v := range e.Data {
				c.valueElement(v.Name, i, args[i].kind)
			}
		})
	})
}

// attr is an attribute: text, or the place of a value.
type attr struct {
	name, text string
	index      int
	kind       uint8
}

func map1(name, text string) []attr { return []attr{{name, text, -1, 0}} }

// template appends an instance: its number, where its definition lies, the definition
// where it is the first, and the values.
func (c *chunk) template(key string, body func(), args []arg) {
	c.u8(0x0c)
	c.u8(1)
	id := md5.Sum([]byte(key))
	c.b = append(c.b, id[:4]...)
	if at, ok := c.templates[key]; ok {
		c.u32(uint32(at))
	} else {
		c.u32(uint32(len(c.b) + 4))
		c.define(key, id, body)
	}
	c.u32(uint32(len(args)))
	heads := len(c.b)
	for _, a := range args {
		c.u16(uint16(len(a.b)))
		c.u8(a.kind)
		c.u8(0)
	}
	for i, a := range args {
		from := len(c.b)
		c.b = append(c.b, a.b...)
		if a.xml != nil {
			a.xml()
			binary.LittleEndian.PutUint16(c.b[heads+4*i:], uint16(len(c.b)-from))
		}
	}
}

// define appends a definition: the next of its chain, its GUID, its size, its text.
func (c *chunk) define(key string, id [16]byte, body func()) {
	at := len(c.b)
	c.templates[key] = at
	slot := templateTab + 4*int(id[0]%32)
	c.u32(uint32(c.offset(slot)))
	c.patch(slot, at)
	c.b = append(c.b, id[:]...)
	size := len(c.b)
	c.u32(0)
	c.fragment()
	body()
	c.b = append(c.b, 0)
	c.patch(size, len(c.b)-size-4)
}

// element appends an element; a nil body leaves it empty.
func (c *chunk) element(name string, attrs []attr, body func()) {
	token := uint8(0x01)
	if len(attrs) > 0 {
		token |= 0x40
	}
	c.u8(token)
	c.u16(0xffff)
	size := len(c.b)
	c.u32(0)
	c.name(name)
	c.attributes(attrs)
	if body == nil {
		c.u8(0x03)
	} else {
		c.u8(0x02)
		body()
		c.u8(0x04)
	}
	c.patch(size, len(c.b)-size-4)
}

func (c *chunk) attributes(attrs []attr) {
	if len(attrs) == 0 {
		return
	}
	size := len(c.b)
	c.u32(0)
	for i, a := range attrs {
		token := uint8(0x46)
		if i == len(attrs)-1 {
			token = 0x06
		}
		c.u8(token)
		c.name(a.name)
		if a.index >= 0 {
			c.place(a.index, a.kind)
		} else {
			c.text(a.text)
		}
	}
	c.patch(size, len(c.b)-size-4)
}

func (c *chunk) valueElement(name string, index int, kind uint8) {
	c.element(name, nil, func() { c.place(index, kind) })
}

// place appends the place of a value that may be absent.
func (c *chunk) place(index int, kind uint8) {
	c.u8(0x0e)
	c.u16(uint16(index))
	c.u8(kind)
}

func (c *chunk) text(s string) {
	c.u8(0x05)
	c.u8(typeString)
	c.counted(s)
}

// encode is a value as its type wants it.
func encode(v any) arg {
	le := binary.LittleEndian
	switch v := v.(type) {
	case string:
		return arg{kind: typeString, b: chars(v)}
	case uint8:
		return arg{kind: typeUint8, b: []byte{v}}
	case uint16:
		return number16(v)
	case uint32:
		return number32(v)
	case uint64:
		return arg{kind: typeUint64, b: le.AppendUint64(nil, v)}
	case bool:
		b := make([]byte, 4)
		if v {
			b[0] = 1
		}
		return arg{kind: typeBool, b: b}
	case [16]byte:
		return arg{kind: typeGUID, b: v[:]}
	case Hex32:
		return arg{kind: typeHex32, b: le.AppendUint32(nil, uint32(v))}
	case Hex64:
		return arg{kind: typeHex64, b: le.AppendUint64(nil, uint64(v))}
	case time.Time:
		return arg{kind: typeFileTime, b: le.AppendUint64(nil, fileTime(v))}
	case []byte:
		return arg{kind: typeBinary, b: v}
	}
	panic(fmt.Sprintf("eventlog: no way to write a %T", v))
}

func number16(v uint16) arg {
	return arg{kind: typeUint16, b: binary.LittleEndian.AppendUint16(nil, v)}
}

func number32(v uint32) arg {
	return arg{kind: typeUint32, b: binary.LittleEndian.AppendUint32(nil, v)}
}

// classicStrings is the array of an old event's strings, a zero behind each.
func classicStrings(values []Value) arg {
	if len(values) == 0 {
		return arg{kind: typeNull}
	}
	a := arg{kind: typeStrings}
	for _, v := range values {
		a.b = append(append(a.b, chars(v.Value.(string))...), 0, 0)
	}
	return a
}

func chars(s string) (b []byte) {
	for _, v := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	return b
}

func guidText(g [16]byte) string {
	le := binary.LittleEndian
	return fmt.Sprintf("{%08x-%04x-%04x-%x-%x}", le.Uint32(g[0:]), le.Uint16(g[4:]), le.Uint16(g[6:]), g[8:10], g[10:16])
}
