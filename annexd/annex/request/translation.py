"""The names in AWS's two APIs for fleets: botocore's EC2 model (2016-11-15), both requests."""

from typing import Final

STRATEGIES: Final = {
    "lowestPrice": "lowest-price",
    "diversified": "diversified",
    "capacityOptimized": "capacity-optimized",
    "capacityOptimizedPrioritized": "capacity-optimized-prioritized",
    "priceCapacityOptimized": "price-capacity-optimized",
    "prioritized": "prioritized",
    "noTermination": "no-termination",
    "default": "termination",
}
MOVED: Final = {  # of SpotFleetRequestConfigData -> of CreateFleetRequest
    "TargetCapacity": "TargetCapacitySpecification.TotalTargetCapacity",
    "OnDemandTargetCapacity": "TargetCapacitySpecification.OnDemandTargetCapacity",
    "TargetCapacityUnitType": "TargetCapacitySpecification.TargetCapacityUnitType",
    "AllocationStrategy": "SpotOptions.AllocationStrategy",
    "SpotMaintenanceStrategies": "SpotOptions.MaintenanceStrategies",
    "InstanceInterruptionBehavior": "SpotOptions.InstanceInterruptionBehavior",
    "InstancePoolsToUseCount": "SpotOptions.InstancePoolsToUseCount",
    "SpotMaxTotalPrice": "SpotOptions.MaxTotalPrice",
    "OnDemandAllocationStrategy": "OnDemandOptions.AllocationStrategy",
    "OnDemandMaxTotalPrice": "OnDemandOptions.MaxTotalPrice",
    "ExcessCapacityTerminationPolicy": "ExcessCapacityTerminationPolicy",
    "ReplaceUnhealthyInstances": "ReplaceUnhealthyInstances",
    "TerminateInstancesWithExpiration": "TerminateInstancesWithExpiration",
    "Type": "Type",
    "ValidUntil": "ValidUntil",
    "Context": "Context",
}
