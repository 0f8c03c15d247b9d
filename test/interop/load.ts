/** The load reports of the interop cases: what they say, and as the library has them. */
import type { MessageInitShape } from "@bufbuild/protobuf"
import type { LoadReport } from "trunkline"
import type { TestOrcaReportSchema } from "../gen/interop_pb.ts"

type TestReport = MessageInitShape<typeof TestOrcaReportSchema>

/** One that a call is asked to report, and two that the server is asked to report one after the other. */
export const reports = {
  ofCall: {
    cpuUtilization: 0.821,
    memoryUtilization: 0.5847,
    requestCost: { cost: 3456.32 },
    utilization: { util: 0.30499 }
  },
  ofServer: [
    { cpuUtilization: 0.821, memoryUtilization: 0.5847, utilization: { util: 0.30499 } },
    { cpuUtilization: 0.29309, memoryUtilization: 0.2, utilization: { util: 0.2039 } }
  ]
} satisfies { readonly ofCall: TestReport; readonly ofServer: ReadonlyArray<TestReport> }

/** What the report says of a server or of a call. */
export const inputOf = (
  report: TestReport
): Pick<LoadReport.LoadReport, "cpuUtilization" | "memoryUtilization" | "requestCost" | "utilization"> => ({
  cpuUtilization: report.cpuUtilization ?? 0,
  memoryUtilization: report.memoryUtilization ?? 0,
  requestCost: report.requestCost ?? {},
  utilization: report.utilization ?? {}
})
