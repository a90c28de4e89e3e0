// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
)

// whole does what concerns a list and no container of it. (The Makefile takes this file where
// libcni is of the specification 1.1.0, which Debian 12's is not, and libcni_older.go elsewhere.)
func (c chain) whole(verb string, containers []string) error {
	if verb == "status" {
		return c.cni.GetStatusNetworkList(context.Background(), c.list)
	}
	args := &libcni.GCArgs{ValidAttachments: []types.GCAttachment{}}
	for _, container := range containers {
		args.ValidAttachments = append(args.ValidAttachments,
			types.GCAttachment{ContainerID: container, IfName: environment("CNI_IFNAME", "eth0")})
	}
	return c.cni.GCNetworkList(context.Background(), c.list, args)
}
