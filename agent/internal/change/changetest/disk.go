// Package changetest is the disk of a change log, for tests.
package changetest

import (
	"encoding/json"
	"maps"
	"slices"
	"sync"
)

// Disk is a change.Store that keeps what a journal would. It is safe for many goroutines.
type Disk struct {
	mu   sync.Mutex
	text map[string]json.RawMessage
}

// NewDisk is an empty disk.
func NewDisk() *Disk { return &Disk{text: map[string]json.RawMessage{}} }

// PutSoon implements change.Store.
func (d *Disk) PutSoon(key string, v any) error {
	raw, err := json.Marshal(v)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.text[key] = raw
	return err
}

// DeleteSoon implements change.Store.
func (d *Disk) DeleteSoon(key string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.text, key)
	return nil
}

// Get implements change.Store.
func (d *Disk) Get(key string, v any) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	raw, ok := d.text[key]
	if !ok {
		return false, nil
	}
	return true, json.Unmarshal(raw, v)
}

// Each implements change.Store.
func (d *Disk) Each(f func(key string, decode func(v any) error) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(d.text)) {
		if err := f(key, func(v any) error { return json.Unmarshal(d.text[key], v) }); err != nil {
			return err
		}
	}
	return nil
}
