package notify

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/salveops/salve/pkg/durable"
)

// page is what a node sends by itself.
type page struct {
	Name  string    `json:"name"`  // under which every place knows it
	Title string    `json:"title"` //
	Text  string    `json:"text"`  //
	At    time.Time `json:"at"`    //
	Told  []string  `json:"told"`  // notifiers that may have it: they are told the end
	Done  []string  `json:"done"`  // notifiers that have it, or refused it
}

// maxUsed is how many names of old pages are remembered, maxPageFile the bound of what is read.
const (
	maxUsed     = 100
	maxPageFile = 1 << 20
)

// pageFile is what an alarm remembers over lives of the node.
type pageFile struct {
	path string

	Page *page           `json:"page,omitempty"`
	Used map[string]bool `json:"used,omitempty"` // names of pages whose end was told
	Last ledTerm         `json:"last"`
}

// ledTerm is the newest term in which this node knew a leader, and the generation then. Nodes that lose their leader
// at the same time remember the same.
type ledTerm struct {
	Generation string `json:"generation"`
	Term       uint64 `json:"term"`
}

// openPage reads the file. One that cannot be read is set aside: an alarm must work all the same.
func openPage(dir, name string) (pageFile, error) {
	f := pageFile{path: filepath.Join(dir, name+".json"), Used: map[string]bool{}}
	b, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err == nil && len(b) <= maxPageFile {
		err = json.Unmarshal(b, &f)
	}
	if err != nil || len(b) > maxPageFile {
		if aside := os.Rename(f.path, f.path+".broken"); aside != nil {
			return f, fmt.Errorf("read pages: %w", errors.Join(err, aside))
		}
		f = pageFile{path: f.path}
	}
	if f.Used == nil {
		f.Used = map[string]bool{}
	}
	return f, nil
}

// save writes the page down.
func (f *pageFile) save(p *page) error {
	f.Page = p
	return f.write()
}

// forget writes down that the end of a page was told.
func (f *pageFile) forget(name string) error {
	if len(f.Used) >= maxUsed { // so old that their hour does not come again
		f.Used = map[string]bool{}
	}
	f.Used[name], f.Page = true, nil
	return f.write()
}

// led writes down the newest term with a leader.
func (f *pageFile) led(l ledTerm) error {
	if f.Last == l {
		return nil
	}
	f.Last = l
	return f.write()
}

// write puts the file in place, whole and durable.
func (f *pageFile) write() error {
	b, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return durable.Write(f.path, b, 0o600)
}
