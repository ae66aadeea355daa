//! Stands in for CubeCL's LLVM compiler: what `cubecl-cuda` names of it, and no more.
//!
//! With CubeCL's feature `cuda-cpp`, kernels are compiled by NVRTC, and nothing of this is reached but
//! [`PtxVersion::for_driver`](nvptx::ptx_version::PtxVersion::for_driver).

use std::ffi::c_char;

use cubecl_core::ir::nvidia::SmArch;
use cubecl_core::prelude::KernelDefinition;
use cubecl_server::compiler::CompilationError;
use cubecl_server::kernel::BufferIOAttr;

const MISSING: &str = "CubeCL's LLVM compiler is not compiled in: build CubeCL with `cuda-cpp`";

/// Of NVIDIA's GPUs.
pub mod nvptx {
    /// Versions of PTX.
    pub mod ptx_version {
        use std::fmt;

        /// A version that LLVM would have to write: there is none.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum PtxVersion {}

        impl PtxVersion {
            /// None: NVRTC chooses by itself.
            pub fn for_driver(_driver: i32) -> Option<Self> {
                None
            }
        }

        impl fmt::Display for PtxVersion {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self {}
            }
        }
    }
}

/// Of all GPUs.
pub mod shared {
    /// What LLVM lowers of a device's features.
    pub mod lowered_features {
        use cubecl_core::ir::DeviceProperties;

        /// Whose GPU it is.
        pub enum GpuTarget {
            /// NVIDIA's.
            Nvptx,
        }

        /// Takes away what LLVM does not lower.
        pub fn restrict_features(_: &mut DeviceProperties, _: GpuTarget) {
            unreachable!("{}", crate::MISSING);
        }
    }
}

/// What is compiled for.
#[derive(Clone, Copy, Debug)]
pub enum LlvmTarget {
    /// NVIDIA's GPUs.
    Nvptx,
}

/// The compiler.
#[derive(Clone, Debug)]
pub struct PlironCompiler {
    /// What it compiles for.
    pub target: LlvmTarget,
}

/// How it compiles.
#[derive(Default)]
pub struct PlironOptions {
    /// The kind of GPU, of AMD's.
    pub arch: Option<()>,
    /// The kind of GPU, of NVIDIA's.
    pub sm_arch: Option<SmArch>,
    /// The version of PTX.
    pub ptx_version: Option<nvptx::ptx_version::PtxVersion>,
    /// Whether parameters of kernels are constants of their grid.
    pub grid_constants: bool,
}

/// A compiled kernel, which is never made.
#[derive(Debug)]
pub struct NvptxModule {
    /// In PTX, and a zero.
    pub ptx: Vec<c_char>,
    /// In LLVM's representation.
    pub ir: String,
    /// Bytes of shared memory.
    pub shared_memory_size: usize,
    /// How its buffers are used.
    pub io: Vec<BufferIOAttr>,
}

/// What comes of compiling.
#[non_exhaustive]
pub enum PlironArtifact {
    /// For NVIDIA's GPUs.
    NvptxCode(NvptxModule),
}

impl PlironCompiler {
    /// Compiles a kernel.
    pub fn compile(
        &mut self,
        _: KernelDefinition,
        _: &PlironOptions,
    ) -> Result<PlironArtifact, CompilationError> {
        unreachable!("{MISSING}");
    }

    /// The language that it writes.
    pub fn lang_tag(&self) -> &'static str {
        unreachable!("{MISSING}");
    }
}
