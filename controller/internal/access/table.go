// Package access decides who may call what. Each call to a node, over gRPC or HTTP, passes its one gate, which knows
// the caller by certificate or token, compares with one table, and puts the caller's name where the request says who
// asks. Streams are cut when their caller is shut out.
package access

import (
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionalpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"

	"github.com/salveops/salve/pkg/identity"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/peerpb"
)

// Need is what a method asks of its caller. The zero value lets nobody in.
type Need struct {
	Anyone bool          // also somebody who shows nothing
	Kind   identity.Kind // what the caller has to be
	Or     identity.Kind // what he may be instead, ""; nothing
	Role   identity.Role // of an operator: at least
}

// Table is what each method asks. A method that is not in it is closed to everybody, and a test fails.
func Table() map[string]Need {
	t := map[string]Need{
		agentpb.Line_Connect_FullMethodName:       {Kind: identity.Host},
		agentpb.Line_Evidence_FullMethodName:      {Kind: identity.Host},
		agentpb.Line_Bundle_FullMethodName:        {Kind: identity.Host},
		agentpb.Figures_ReadFigure_FullMethodName: {Kind: identity.Host},
		agentpb.Enrollment_Renew_FullMethodName:   {Kind: identity.Host, Or: identity.Controller},
		agentpb.Enrollment_Enroll_FullMethodName:  {Anyone: true}, // it asks for a token of its own kind

		peerpb.Peer_Configure_FullMethodName: {Kind: identity.Controller},
		peerpb.Peer_Paged_FullMethodName:     {Kind: identity.Controller},

		healthpb.Health_Check_FullMethodName: {Anyone: true},
		healthpb.Health_Watch_FullMethodName: {Anyone: true},
		healthpb.Health_List_FullMethodName:  {Anyone: true},

		reflectionpb.ServerReflection_ServerReflectionInfo_FullMethodName: {Kind: identity.Operator,
			Role: identity.Viewer},
		reflectionalpha.ServerReflection_ServerReflectionInfo_FullMethodName: {Kind: identity.Operator,
			Role: identity.Viewer},
	}
	for role, methods := range operators() {
		for _, m := range methods {
			t[m] = Need{Kind: identity.Operator, Role: role}
		}
	}
	return t
}

// operators are the methods of the operators' API by the least role that may call them.
func operators() map[identity.Role][]string {
	return map[identity.Role][]string{
		identity.Viewer: { // reads
			adminpb.Admin_Status_FullMethodName, adminpb.Admin_ListIncidents_FullMethodName,
			adminpb.Admin_GetIncident_FullMethodName, adminpb.Admin_Watch_FullMethodName,
			adminpb.Admin_GetEvidence_FullMethodName, adminpb.Admin_ListHosts_FullMethodName,
			adminpb.Admin_ListServices_FullMethodName, adminpb.Admin_ListPermits_FullMethodName,
			adminpb.Admin_ListPauses_FullMethodName, adminpb.Admin_ListSilences_FullMethodName,
			adminpb.Admin_ListWindows_FullMethodName, adminpb.Admin_ListChanges_FullMethodName,
			adminpb.Admin_ListAudit_FullMethodName, adminpb.Admin_ListPeers_FullMethodName,
			adminpb.Admin_WhoAmI_FullMethodName, adminpb.Admin_ListBundles_FullMethodName,
			adminpb.Admin_GetBundle_FullMethodName,
		},
		identity.Steward: { // holds back, and takes over
			adminpb.Admin_Acknowledge_FullMethodName, adminpb.Admin_Release_FullMethodName,
			adminpb.Admin_Resolve_FullMethodName, adminpb.Admin_Pause_FullMethodName,
			adminpb.Admin_Resume_FullMethodName, adminpb.Admin_Silence_FullMethodName,
			adminpb.Admin_EndSilence_FullMethodName, adminpb.Admin_RecordChange_FullMethodName,
		},
		identity.Approver: { // decides about repairs
			adminpb.Admin_CloseBreaker_FullMethodName, adminpb.Admin_RevokePermit_FullMethodName,
			adminpb.Admin_SettlePermit_FullMethodName,
		},
		identity.Admin: { // hosts and their rules, nodes, backups, who gets in
			adminpb.Admin_PushBundle_FullMethodName, adminpb.Admin_RollbackBundle_FullMethodName,
			adminpb.Admin_AdoptHost_FullMethodName, adminpb.Admin_RemoveHost_FullMethodName,
			adminpb.Admin_AddPeer_FullMethodName, adminpb.Admin_RemovePeer_FullMethodName,
			adminpb.Admin_TransferLeadership_FullMethodName, adminpb.Admin_Snapshot_FullMethodName,
			adminpb.Admin_Restore_FullMethodName, adminpb.Admin_CreateToken_FullMethodName,
			adminpb.Admin_ListTokens_FullMethodName, adminpb.Admin_EndToken_FullMethodName,
			adminpb.Admin_RevokeIdentity_FullMethodName, adminpb.Admin_ListRevocations_FullMethodName,
		},
	}
}

// allows reports whether somebody may.
func (n Need) allows(who identity.Name) bool {
	return n.Anyone || who.Kind != "" && (who.Kind == n.Kind || who.Kind == n.Or) && who.Role >= n.Role
}
