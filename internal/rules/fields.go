package rules

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// objects are the objects of a report and the types of their fields, as
// docs/report.md has them: string, int, bool, another object, or a list of one of
// these. An address or code is a string ("0xd1"), as in JSON. The words that rules
// themselves add are no fields. TestObjects_AreTheReport holds the table against
// package report.
var objects = map[string]map[string]string{
	"Report": {
		"schema": "int", "tool": "Tool", "dump": "Dump", "system": "System", "bugcheck": "Bugcheck", "process": "Process",
		"thread": "Thread", "processor": "int", "irql": "int", "exception": "Exception", "registers": registersType,
		"context": "Context", "stack": "[]Frame", "threads": "[]ThreadStack", "verdict": "Verdict", "modules": "[]Module",
		"unloaded_modules": "[]UnloadedModule", "tagged_data": "[]TaggedData", "annotations": "[]Annotation",
		"symbols": "Symbols", "notes": "[]Note", "debugger": "Debugger", "incident": "Incident",
	},
	"Tool": {"name": "string", "version": "string"},
	"Dump": {
		"file": "string", "kind": "string", "source": "string", "architecture": "string", "size_bytes": "int", "truncated": "bool",
		"comment": "string", "attributes": "string",
	},
	"System": {
		"version": "string", "name": "string", "build": "int", "release_build": "int", "lab": "string", "product": "string",
		"processors": "int", "processor_name": "string", "processor_id": "string", "processor_mhz": "int",
		"crashed_at": "string", "uptime_seconds": "int", "virtual_machine": "string", "manufacturer": "string",
		"model": "string", "bios": "string", "baseboard": "string", "boot_id": "int",
	},
	"Bugcheck":  {"code": "string", "name": "string", "meaning": "string", "parameters": "[]Parameter"},
	"Parameter": {"value": "string", "meaning": "string", "note": "string"},
	"Process":   {"name": "string", "pid": "int", "trust": "string", "started_at": "string", "threads": "int"},
	"Thread":    {"address": "string", "id": "int", "name": "string"},
	"Exception": {
		"code": "string", "name": "string", "address": "string", "access": "string", "target": "string", "reason": "string",
		"parameters": "[]string",
	},
	"Context": {"kind": "string", "address": "string"},
	"Frame": {
		"address": "string", "stack_pointer": "string", "image": "string", "module": "string", "symbol": "string",
		"offset": "string", "file": "string", "line": "int", "inline": "bool", "trust": "string",
	},
	"ThreadStack": {"id": "int", "name": "string", "stack": "[]Frame"},
	"Verdict": {
		"summary": "string", "cause": "string", "image": "string", "module": "string", "symbol": "string",
		"confidence": "string", "bucket": "string", "bucket_hash": "string", "evidence": "[]Evidence",
		"alternatives": "[]Alternative", "next_steps": "[]string", "bit": "int",
	},
	"Evidence":    {"fact": "string", "source": "string", "trust": "string"},
	"Alternative": {"image": "string", "why": "string"},
	"Module": {
		"image": "string", "module": "string", "path": "string", "base": "string", "size": "int", "timestamp": "string",
		"version": "string", "symbols": "string", "third_party": "bool",
	},
	"UnloadedModule": {"image": "string", "base": "string", "size": "int"},
	"TaggedData":     {"guid": "string", "name": "string", "size_bytes": "int"},
	"Annotation":     {"name": "string", "value": "string"},
	"Symbols":        {"path": "string", "missing": "[]string", "note": "string"},
	"Note":           {"where": "string", "text": "string"},
	"Debugger": {
		"image": "string", "module": "string", "symbol": "string", "bucket": "string", "bucket_hash": "string", "difference": "string",
	},
	"Incident": {
		"kind": "string", "at": "string", "at_source": "string", "at_trust": "string", "zone_minutes": "int", "restarted_at": "string", "bugcheck": "Bugcheck",
		"summary": "string", "dump_path": "string", "report_id": "string", "bucket": "string", "dumps": "[]IncidentDump",
		"no_dump": "string", "records": "[]Event", "before": "[]Event", "changed": "[]Event", "evidence": "[]Evidence",
	},
	"IncidentDump": {"file": "string", "verdict": "Verdict", "tied": "string"},
	"Event": {
		"at": "string", "log": "string", "record": "int", "provider": "string", "id": "int", "kind": "string", "what": "string", "count": "int",
		"values": "[]Fact",
	},
	"Fact": {"name": "string", "value": "string"},
}

// registersType is the object whose fields are the registers of the processor that
// crashed: any name, since each architecture has others.
const registersType = "Registers"

// fieldType is the type of a field in the words of objects, "" if there is none.
func fieldType(object, field string) string {
	if object == registersType {
		return "string"
	}
	return objects[object][field]
}

func isObject(word string) bool { return word == registersType || objects[word] != nil }

// typeOf is CEL's type for a word of objects.
func typeOf(word string) *cel.Type {
	if element, ok := strings.CutPrefix(word, "[]"); ok {
		return cel.ListType(typeOf(element))
	}
	switch word {
	case "string":
		return cel.StringType
	case "int":
		return cel.IntType
	case "bool":
		return cel.BoolType
	}
	return cel.ObjectType(word)
}

// absentError is the use of a field that the report does not have.
type absentError struct{ field string }

func (e *absentError) Error() string { return fmt.Sprintf("the report has no %s", e.field) }

// provider tells CEL of the objects. Reading an absent field is an absentError,
// but for an object: that is empty, so that has(process.name) can be asked of a
// report without a process.
type provider struct{ types.Provider }

// FindStructType implements types.Provider.
func (p provider) FindStructType(name string) (*types.Type, bool) {
	if isObject(name) {
		return types.NewTypeTypeWithParam(cel.ObjectType(name)), true
	}
	return p.Provider.FindStructType(name)
}

// FindStructFieldNames implements types.Provider.
func (p provider) FindStructFieldNames(name string) ([]string, bool) {
	if isObject(name) {
		return fieldNames(name), true
	}
	return p.Provider.FindStructFieldNames(name)
}

// FindStructFieldType implements types.Provider.
func (p provider) FindStructFieldType(object, field string) (*types.FieldType, bool) {
	if !isObject(object) {
		return p.Provider.FindStructFieldType(object, field)
	}
	word := fieldType(object, field)
	if word == "" {
		return nil, false
	}
	return &types.FieldType{
		Type:    typeOf(word),
		IsSet:   func(target any) bool { return valueOf(target, field, word) != nil },
		GetFrom: func(target any) (any, error) { return getField(target, field, word) },
	}, true
}

// NewValue implements types.Provider: rules make no objects.
func (p provider) NewValue(name string, fields map[string]ref.Val) ref.Val {
	if isObject(name) {
		return types.NewErr("rules read reports and make no %s", name)
	}
	return p.Provider.NewValue(name, fields)
}

func getField(target any, field, word string) (any, error) {
	switch v := valueOf(target, field, word); {
	case v != nil:
		return v, nil
	case isObject(word):
		return map[string]any{}, nil
	}
	return nil, &absentError{field}
}

// valueOf is a field's value, nil if it is absent or not of its type: a report
// that was kept in a file may hold anything.
func valueOf(target any, field, word string) any {
	object, _ := target.(map[string]any)
	v := object[field]
	var ok bool
	switch word {
	case "string":
		_, ok = v.(string)
	case "int":
		_, ok = v.(int64)
	case "bool":
		_, ok = v.(bool)
	default:
		if isObject(word) {
			_, ok = v.(map[string]any)
		} else {
			_, ok = v.([]any)
		}
	}
	if !ok {
		return nil
	}
	return v
}

func fieldNames(object string) []string {
	var names []string
	for name := range objects[object] {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Fields lists what conditions can name, one a line: bugcheck.code string,
// stack[].image string.
func Fields() []string { return fieldsOf("", "Report") }

func fieldsOf(prefix, object string) []string {
	if object == registersType {
		return []string{prefix + "NAME string"}
	}
	var list []string
	for _, name := range fieldNames(object) {
		word := objects[object][name]
		element, isList := strings.CutPrefix(word, "[]")
		path := prefix + name
		if isList && isObject(element) {
			path += "[]"
		}
		if isObject(element) {
			list = append(list, fieldsOf(path+".", element)...)
			continue
		}
		list = append(list, path+" "+word)
	}
	return list
}
