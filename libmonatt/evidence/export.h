/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * export.h - an evidence file as the files that other people's tools take
 *
 * tpm2_checkquote, openssl and jose then decide without any program of ours; README.txt beside
 * the files says how.  Exporting believes nothing: files of refused evidence can be looked at too.
 */
#ifndef MONATT_EVIDENCE_EXPORT_H
#define MONATT_EVIDENCE_EXPORT_H

#include "libmonatt/evidence/evidence.h"

G_BEGIN_DECLS

/*
 * Writes into directory, which is made when it is missing (its parents too):
 *   README.txt             the commands
 *   claims.jws, claims.json  JWS compact, and its payload octets
 *   qualifying-data.hex    H(claims.json) of the suite, in both quotes
 *   session.pem, session-ca.pem, jws-key.jwk  leaf, the rest of x5c, the leaf's key
 *   {device,host}-quote.{attest,signature,pcrs,values}, {device,host}-ak.{pem,tpmt}
 *   log.cel, host.log, opening.bin (when there is one)
 * claims: of this evidence, not NULL.  USAGE when one of the files is there already, SYSTEM,
 * MISSING, PERMISSION from the system, FORMAT when a part cannot be read.
 */
gboolean monatt_evidence_export(const MonattEvidence *evidence, const MonattClaims *claims,
                                const char *directory, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS

#endif
