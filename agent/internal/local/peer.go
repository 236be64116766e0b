package local

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/user"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// maxOperator bounds the name that a caller may claim to work for.
const maxOperator = 64

// peerCreds asks the kernel who is at the other end of the socket. There is nothing to negotiate and
// nothing to encrypt.
type peerCreds struct{}

var _ credentials.TransportCredentials = peerCreds{}

// peerInfo is who the kernel says is calling.
type peerInfo struct {
	credentials.CommonAuthInfo
	UID uint32
	PID int32
}

// AuthType implements credentials.AuthInfo.
func (peerInfo) AuthType() string { return "so_peercred" }

// ServerHandshake implements credentials.TransportCredentials.
func (peerCreds) ServerHandshake(c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return nil, nil, fmt.Errorf("%T is not a unix socket", c)
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return nil, nil, err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return nil, nil, err
	}
	if credErr != nil {
		return nil, nil, fmt.Errorf("ask who is calling: %w", credErr)
	}
	info := peerInfo{
		CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
		UID:            cred.Uid,
		PID:            cred.Pid,
	}
	return c, info, nil
}

// ClientHandshake implements credentials.TransportCredentials.
func (peerCreds) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("peer credentials are for the serving side")
}

// Info implements credentials.TransportCredentials.
func (peerCreds) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "so_peercred"}
}

// Clone implements credentials.TransportCredentials.
func (peerCreds) Clone() credentials.TransportCredentials { return peerCreds{} }

// OverrideServerName implements credentials.TransportCredentials.
func (peerCreds) OverrideServerName(string) error { return nil }

// caller names who makes the call: the user that the kernel proves and, in brackets, whom he claims
// to work for. A claim can add a name, never hide one.
func caller(ctx context.Context, claimed string) string {
	name := "unknown"
	if p, ok := peer.FromContext(ctx); ok {
		if info, ok := p.AuthInfo.(peerInfo); ok {
			name = userName(info.UID)
		}
	}
	claimed = cleanName(claimed)
	if claimed == "" || claimed == name {
		return name
	}
	return name + " (for " + claimed + ")"
}

// userName is the user's name, or "uid 1000" for one that this host has no name for.
func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	u, err := user.LookupId(id)
	if err != nil {
		return "uid " + id
	}
	return u.Username
}

// cleanName keeps what can stand in a log line.
func cleanName(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == '(' || r == ')' {
			return -1
		}
		return r
	}, s)
	if len(s) > maxOperator {
		s = strings.ToValidUTF8(s[:maxOperator], "")
	}
	return strings.TrimSpace(s)
}
