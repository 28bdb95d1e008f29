//! `version()`: of skep. DataFusion's would name DataFusion, which says nothing to a user.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

const NAME: &str = "version";

/// Puts skep's function in the place of DataFusion's.
pub fn of_skep(function: std::sync::Arc<ScalarUDF>) -> std::sync::Arc<ScalarUDF> {
    match function.name() {
        NAME => {
            ScalarUDF::new_from_impl(Version { signature: Signature::nullary(Volatility::Immutable) }).into()
        }
        _ => function,
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Version {
    signature: Signature,
}

impl ScalarUDFImpl for Version {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(ScalarValue::Utf8(Some(
            concat!("skep ", env!("CARGO_PKG_VERSION")).to_owned(),
        ))))
    }
}
