/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* sd_notify(3) by hand: one datagram to $NOTIFY_SOCKET, if somebody set it. */
void notify_ready(void);
