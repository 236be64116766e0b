package controller

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/salveops/salve/proto/agentpb"
)

// The leader asks what its file says, also after a reload, and tells hosts.
func TestFigures(t *testing.T) {
	prometheus := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, fmt.Sprintf(`{"status":"success","data":{"resultType":"scalar","result":[%d,%q]}}`,
			time.Now().Unix(), r.FormValue("query")))
	}))
	defer prometheus.Close()
	s := newSite(t)
	query := func(expr string) {
		s.configure(fmt.Sprintf("query \"orders\" {\n  url  = %q\n  expr = %q\n}", prometheus.URL, expr))
	}
	query("3")
	_, stop := s.run()
	conn, err := grpc.NewClient(s.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	tells := func(want float64) {
		t.Helper()
		s.eventually(fmt.Sprint("it tells ", want), func() bool {
			f, err := agentpb.NewFiguresClient(conn).ReadFigure(t.Context(), &agentpb.ReadFigureRequest{Query: "orders"})
			return err == nil && f.GetKnown() && f.GetValue() == want
		})
	}
	tells(3)
	query("4")
	if err := s.reload(); err != nil {
		t.Fatal(err)
	}
	tells(4)
	if err := stop(); err != nil {
		t.Error(err)
	}
}
