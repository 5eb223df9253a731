import Logging
import Metering
import ProofOfWork
import Stratum
import Units

extension EdgeCore {
    /// A share met the network's target; it has gone to its pool by now, if it could. All that a block is made of is logged,
    /// whatever becomes of the record.
    func foundBlock(_ checked: CheckedShare, _ submission: Submission, _ job: RigJob, _ share: ForwardedShare, wasSent: Bool) {
        guard let hash = checked.hash else { return }
        let work = job.work
        let header = work.template.header(
            extranonce1: [], extranonce2: checked.extranonce2, ntime: submission.ntime, nonce: submission.nonce,
            version: checked.version)
        logger.notice(
            "share meets the network's target",
            metadata: [
                "rig": "\(share.rig)", "pool": "\(work.connection.upstream.key.url)", "hash": "\(hash)",
                "verdict": "\(checked.verdict)", "forwarded": "\(wasSent)", "header": "\(hex(header.bytes))",
                "pool job": "\(work.job.id)",
                "coinbase prefix": "\(hex(work.job.coinb1 + work.fold.poolExtranonce1))",
                "extranonce2": "\(hex(checked.extranonce2))", "coinbase suffix": "\(hex(work.job.coinb2))",
                "branches": "\(work.job.branches.map { hex($0.bytes) }.joined(separator: ","))",
            ])
        share.block = hash
        reports.blockFound(FoundBlock(
            receivedAt: share.receivedAt, rig: share.rig, delivery: share.delivery, target: job.assignment.target, hash: hash,
            header: header.bytes, poolJob: work.job.id, isForwarded: wasSent))
    }

    private func hex(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
