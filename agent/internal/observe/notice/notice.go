// Package notice waits for what the kernel announces by itself: pressure, memory events of control
// groups, OOM kills. One goroutine waits for all of them.
package notice

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// Poller waits on any number of file descriptors and files. Its methods may be called from many
// goroutines; a call-back runs in the goroutine of Run and must not block.
//
// It waits in the kernel, with a thread of its own, and not through the runtime's poller: that would
// ask whether our epoll descriptor is ready, and to find out the kernel asks the pressure files, which
// forget their event when they are asked.
type Poller struct {
	epoll, inotify int
	wake           int // an event counter that ends the wait

	mu      sync.Mutex
	closed  bool
	onReady map[int]func()   // by file descriptor
	onWatch map[int32]func() // by inotify watch
}

// New makes a poller; Run makes it work, and closes it.
func New() (*Poller, error) {
	p := &Poller{epoll: -1, inotify: -1, wake: -1, onReady: map[int]func(){}, onWatch: map[int32]func(){}}
	if err := p.open(); err != nil {
		closeAll(p.epoll, p.inotify, p.wake)
		return nil, err
	}
	return p, nil
}

func (p *Poller) open() (err error) {
	if p.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("create epoll: %w", err)
	}
	if p.inotify, err = unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC); err != nil {
		return fmt.Errorf("create inotify: %w", err)
	}
	if p.wake, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return fmt.Errorf("create event counter: %w", err)
	}
	if err := p.wait(p.wake, unix.EPOLLIN, func() {}); err != nil {
		return err
	}
	return p.wait(p.inotify, unix.EPOLLIN, p.drain)
}

func closeAll(fds ...int) {
	for _, fd := range fds {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// wait puts a descriptor into the epoll set.
func (p *Poller) wait(fd int, events uint32, fn func()) error {
	err := unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
	if err != nil {
		return fmt.Errorf("add to epoll: %w", err)
	}
	p.onReady[fd] = fn
	return nil
}

// Add calls fn whenever one of events (EPOLLIN, EPOLLPRI) is signalled on fd, which belongs to the
// poller from now on: stop takes it out and closes it. When Add fails, fd still is the caller's.
func (p *Poller) Add(fd int, events uint32, fn func()) (stop func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, os.ErrClosed
	}
	if err := p.wait(fd, events, fn); err != nil {
		return nil, err
	}
	return sync.OnceFunc(func() { p.remove(fd) }), nil
}

// remove closes a descriptor, which takes it out of the epoll set as well.
func (p *Poller) remove(fd int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.onReady[fd] != nil {
		delete(p.onReady, fd)
		_ = unix.Close(fd)
	}
}

// Modified calls fn whenever the kernel announces a change of the file's content, as it does for the
// events files of control groups version 2.
func (p *Poller) Modified(path string, fn func()) (stop func(), err error) {
	return p.watch(path, unix.IN_MODIFY, fn)
}

// Entries calls fn whenever something is made in a folder, moved into it or out of it, or removed from it, and when the
// folder itself goes away. A folder has one fn, the last.
func (p *Poller) Entries(dir string, fn func()) (stop func(), err error) {
	const names = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE
	return p.watch(dir, names|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_ONLYDIR, fn)
}

func (p *Poller) watch(path string, mask uint32, fn func()) (stop func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, os.ErrClosed
	}
	wd, err := unix.InotifyAddWatch(p.inotify, path, mask)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", path, err)
	}
	p.onWatch[int32(wd)] = fn
	return sync.OnceFunc(func() { p.unwatch(wd) }), nil
}

func (p *Poller) unwatch(wd int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.onWatch, int32(wd))
	if !p.closed {
		_, _ = unix.InotifyRmWatch(p.inotify, uint32(wd)) // fails if the file is gone: then it is done
	}
}

// Counted calls fn whenever the kernel signals the event counter of a file in a folder of control
// groups version 1, such as memory.oom_control. It needs write access to cgroup.event_control.
func (p *Poller) Counted(dir, file string, fn func()) (stop func(), err error) {
	subject, err := os.Open(filepath.Join(dir, file))
	if err != nil {
		return nil, fmt.Errorf("open event file: %w", err)
	}
	defer subject.Close()
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create event counter: %w", err)
	}
	control, err := os.OpenFile(filepath.Join(dir, "cgroup.event_control"), os.O_WRONLY, 0)
	if err == nil {
		_, err = fmt.Fprintf(control, "%d %d", fd, subject.Fd())
		err = errors.Join(err, control.Close())
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("register event counter: %w", err)
	}
	stop, err = p.Add(fd, unix.EPOLLIN, func() {
		var count [8]byte
		_, _ = unix.Read(fd, count[:]) // resets it; nothing to read means that somebody else did
		// The removal of the group is signalled as well, and then for ever.
		if _, err := os.Stat(dir); err == nil {
			fn()
		}
	})
	if err != nil {
		_ = unix.Close(fd)
	}
	return stop, err
}

// Run waits and calls back until ctx ends, then closes everything.
func (p *Poller) Run(ctx context.Context) error {
	defer p.close()
	defer context.AfterFunc(ctx, p.interrupt)()
	var events [32]unix.EpollEvent
	for {
		n, err := unix.EpollWait(p.epoll, events[:], -1)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == unix.EINTR:
			continue
		case err != nil:
			return fmt.Errorf("wait for kernel events: %w", err)
		}
		for _, e := range events[:n] {
			p.call(e)
		}
	}
}

// interrupt ends the wait.
func (p *Poller) interrupt() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		_, _ = unix.Write(p.wake, binary.NativeEndian.AppendUint64(nil, 1))
	}
}

// call runs the call-back of a descriptor. One that only reports an error, as the pressure file of a
// removed control group does, would do so for ever and is dropped.
func (p *Poller) call(e unix.EpollEvent) {
	p.mu.Lock()
	fn := p.onReady[int(e.Fd)]
	p.mu.Unlock()
	if e.Events&(unix.EPOLLIN|unix.EPOLLPRI) == 0 {
		p.remove(int(e.Fd))
		return
	}
	if fn != nil {
		fn()
	}
}

// drain reads what inotify has to tell.
func (p *Poller) drain() {
	var buf [4096]byte
	for {
		n, err := unix.Read(p.inotify, buf[:])
		if err != nil || n <= 0 {
			return
		}
		for _, wd := range watches(buf[:n]) {
			p.mu.Lock()
			fn := p.onWatch[wd]
			p.mu.Unlock()
			if fn != nil {
				fn()
			}
		}
	}
}

func (p *Poller) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for fd := range p.onReady {
		_ = unix.Close(fd)
	}
	_ = unix.Close(p.epoll)
	clear(p.onReady)
	clear(p.onWatch)
}
