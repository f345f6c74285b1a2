// The drivers that come with Windows, a few functions each: -DIMAGE_name picks
// one. Names and who calls whom: published stacks.
#include "lab.h"

#define ENTRY                                                                  \
	_Pragma("code_seg(\"INIT\")") FN(DriverEntry, 8, 2, INDIRECT(0x10))        \
	_Pragma("code_seg()")

#if IMAGE_disk
ENTRY
FN(DiskDeviceControl, 14, 3, IMPORT(ClassDeviceControl))
FN(DiskReadWriteVerification, 5, 1, )
#elif IMAGE_CLASSPNP
ENTRY
FN(ClassGlobalDispatch, 4, 0, CALL(ClassReadWrite) CALL(ClassDeviceControlDispatch) CALL(ClassDispatchPnp))
FN(ClassReadWrite, 18, 4, CALL(ClasspServiceReadRequest))
FN(ClasspServiceReadRequest, 12, 4, CALL(ServiceTransferRequest))
FN(ServiceTransferRequest, 16, 4, CALL(SubmitTransferPacket))
FN(SubmitTransferPacket, 8, 2, IMPORT(IofCallDriver))
FN(TransferPktComplete, 30, 4, IMPORT(IofCompleteRequest))
FN(ClassDeviceControlDispatch, 6, 2, CALL(ClassDeviceControl) INDIRECT(0x18))
FN(ClassDeviceControl, 40, 4, IMPORT(IofCallDriver))
FN(ClassDispatchPnp, 12, 3, CALL(ClassMinimumPowerDispatch) IMPORT(IofCallDriver))
FN(ClassMinimumPowerDispatch, 6, 2, IMPORT(PoCallDriver))
#elif IMAGE_storport
ENTRY
FN(RaDriverScsiIrp, 6, 1, CALL(RaUnitScsiIrp))
FN(RaUnitScsiIrp, 8, 2, CALL(RaUnitStartIo))
FN(RaUnitStartIo, 14, 3, CALL(RaidAdapterPostScatterGatherExecute))
FN(RaidAdapterPostScatterGatherExecute, 16, 3, CALL(RaCallMiniportStartIo))
FN(RaCallMiniportStartIo, 5, 2, INDIRECT(0x20))
FN(RaDriverPowerIrp, 6, 1, CALL(RaUnitPowerIrp))
FN(RaUnitPowerIrp, 9, 2, IMPORT(IofCompleteRequest))
FN(RaidpAdapterDpcRoutine, 12, 3, CALL(RaidUnitCompleteRequest))
FN(RaidUnitCompleteRequest, 20, 4, IMPORT(IofCompleteRequest))
FN(StorPortWorkItemRoutine, 8, 2, INDIRECT(0x20))
#elif IMAGE_FLTMGR
ENTRY
FN(FltpDispatch, 8, 3, CALL(FltpPassThrough) CALL(FltpLegacyProcessingAfterPreCallbacksCompleted) IMPORT(IofCallDriver))
FN(FltpCreate, 20, 3, CALL(FltpPassThroughInternal) CALL(FltpLegacyProcessingAfterPreCallbacksCompleted))
FN(FltpPassThrough, 10, 2, CALL(FltpPassThroughInternal))
FN(FltpPassThroughInternal, 14, 3, CALL(FltpPerformPreCallbacksWorker) CALL(FltpLegacyProcessingAfterPreCallbacksCompleted))
FN(FltpPerformPreCallbacksWorker, 40, 4, INDIRECT(0x18) CALL(FltpPerformPreCallbacks))
FN(FltpPerformPreCallbacks, 32, 4, INDIRECT(0x18))
FN(FltpLegacyProcessingAfterPreCallbacksCompleted, 22, 4, IMPORT(IofCallDriver))
FN(FltpPassThroughCompletion, 12, 2, CALL(FltpPerformPostCallbacks))
FN(FltpPerformPostCallbacks, 34, 4, INDIRECT(0x20))
#elif IMAGE_Ntfs
ENTRY
FN(NtfsFsdRead, 26, 4, CALL(NtfsCommonRead))
FN(NtfsCommonRead, 110, 4, CALL(NtfsNonCachedIo) IMPORT(IofCallDriver) IMPORT(ExAcquireResourceSharedLite))
FN(NtfsFsdWrite, 30, 4, CALL(NtfsCommonWrite))
FN(NtfsCommonWrite, 150, 4, CALL(NtfsNonCachedIo) IMPORT(ExAcquireResourceExclusiveLite))
FN(NtfsNonCachedIo, 70, 4, CALL(NtfsSingleAsync))
FN(NtfsSingleAsync, 10, 3, IMPORT(IofCallDriver))
FN(NtfsFsdCreate, 40, 4, CALL(NtfsCommonCreateCallout))
FN(NtfsCommonCreateCallout, 8, 1, CALL(NtfsCommonCreate))
FN(NtfsCommonCreate, 160, 4, IMPORT(ExAcquireResourceSharedLite) IMPORT(ExAllocatePoolWithTag))
FN(NtfsMasterIrpSyncCompletionRoutine, 4, 1, IMPORT(KeSetEvent))
#elif IMAGE_NDIS
ENTRY
FN(ndisMiniportDpc, 40, 4, INDIRECT(0x40))
FN(ndisInterruptDpc, 34, 4, INDIRECT(0x40) CALL(ndisMiniportDpc))
FN(ndisMiniportIsr, 9, 2, INDIRECT(0x38))
FN(ndisMIndicateNetBufferListsToOpen, 24, 4, INDIRECT(0x50))
FN(ndisMTopReceiveNetBufferLists, 30, 4, CALL(ndisMIndicateNetBufferListsToOpen))
FN(NdisMIndicateReceiveNetBufferLists, 36, 4, CALL(ndisMTopReceiveNetBufferLists))
FN(ndisMSendNBLToMiniport, 24, 4, INDIRECT(0x60))
FN(NdisSendNetBufferLists, 20, 3, CALL(ndisMSendNBLToMiniport))
FN(ndisQueueIoWorkItem, 9, 2, IMPORT(IofCallDriver))
FN(ndisSetDevicePower, 22, 3, CALL(ndisMSetPower))
FN(ndisMSetPower, 16, 2, INDIRECT(0x70) IMPORT(KeWaitForSingleObject))
FN(ndisPowerDispatch, 14, 3, CALL(ndisSetDevicePower))
#elif IMAGE_dxgkrnl
ENTRY
FN(TdrBugcheckOnTimeout, 8, 4, IMPORT(KeBugCheckEx))
FN(TdrIsRecoveryRequired, 12, 3, CALL(TdrBugcheckOnTimeout))
FN(TdrUpdateDbgReport, 20, 3, IMPORT(WdDbgReportCreate))
FN(TdrResetFromTimeout, 18, 3, CALL(TdrIsRecoveryRequired) CALL(TdrUpdateDbgReport))
FN(DxgkDdiResetFromTimeout, 9, 2, INDIRECT(0x80))
FN(DpiFdoHandleInterrupt, 12, 2, INDIRECT(0x88))
FN(DpiFdoDpcForIsr, 10, 2, INDIRECT(0x90))
FN(DxgkPresent, 120, 4, INDIRECT(0x20))
#elif IMAGE_dxgmms2
ENTRY
FN(VidSchiReportHwHang, 26, 4, CALL(VidSchWaitForEvents) IMPORT(TdrIsRecoveryRequired))
FN(VidSchiCheckHwProgress, 30, 3, CALL(VidSchiReportHwHang))
FN(VidSchiWaitForSchedulerEvents, 40, 3, CALL(VidSchiCheckHwProgress) IMPORT(KeWaitForMultipleObjects))
FN(VidSchiScheduleCommandToRun, 34, 4, CALL(VidSchiWaitForSchedulerEvents))
FN(VidSchiRun_PriorityTable, 12, 2, CALL(VidSchiScheduleCommandToRun))
FN(VidSchiWorkerThread, 10, 2, CALL(VidSchiRun_PriorityTable))
FN(VidSchWaitForEvents, 30, 4, IMPORT(KeWaitForMultipleObjects))
#elif IMAGE_watchdog
ENTRY
FN(WdDbgReportCreate, 16, 3, IMPORT(ExAllocatePoolWithTag))
FN(WdDbgReportRecreate, 12, 2, CALL(WdDbgReportCreate))
FN(WdpDbgCaptureTriageDump, 30, 3, IMPORT(KeBugCheckEx))
#elif IMAGE_pci
ENTRY
FN(PciDispatchPnpPower, 12, 3, CALL(PciDevice_SetPower) IMPORT(IofCallDriver))
FN(PciDevice_SetPower, 10, 2, IMPORT(PoCallDriver))
FN(ExpressRootPortInterruptRoutine, 9, 2, CALL(ExpressRootPortAerInterruptRoutine))
FN(ExpressRootPortAerInterruptRoutine, 12, 2, IMPORT(WheaReportHwError))
#elif IMAGE_ACPI
ENTRY
FN(ACPIDispatchIrp, 14, 3, CALL(ACPIDispatchForwardPowerIrp) INDIRECT(0x18))
FN(ACPIDispatchForwardPowerIrp, 6, 2, IMPORT(PoCallDriver))
FN(ACPIWorkerThread, 8, 1, CALL(RestartCtxtCallback) IMPORT(KeWaitForMultipleObjects))
FN(RestartCtxtCallback, 4, 1, CALL(InsertReadyQueue))
FN(InsertReadyQueue, 9, 2, CALL(RunContext))
FN(RunContext, 20, 4, INDIRECT(0x10))
#elif IMAGE_usbxhci
ENTRY
FN(Interrupter_DeferredWorkProcessor, 24, 4, CALL(TransferRing_ProcessTransferEvent))
FN(Interrupter_WdfEvtInterruptDpc, 6, 1, CALL(Interrupter_DeferredWorkProcessor))
FN(TransferRing_ProcessTransferEvent, 30, 4, INDIRECT(0x28))
FN(Controller_D0Exit, 10, 2, IMPORT(KeDelayExecutionThread))
FN(UsbDevice_Disable, 16, 3, IMPORT(KeWaitForSingleObject))
#elif IMAGE_kbdhid
ENTRY
FN(KbdHid_ReadComplete, 22, 4, CALL(KbdHidProcessCrashDump) IMPORT(IofCallDriver))
FN(KbdHidProcessCrashDump, 8, 3, IMPORT(KeBugCheckEx))
#elif IMAGE_hal
// Builds from 19041 on have the HAL in the kernel; this file forwards to it.
FN(DriverEntry, 4, 1, )
FN(HalpMcaExceptionHandler, 6, 2, IMPORT(WheaReportHwError))
FN(HalReturnToFirmware, 4, 1, )
FN(HalMakeBeep, 3, 1, )
#endif
